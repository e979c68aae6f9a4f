"""English sentences of the world."""

STATEMENTS = {
    "place": (
        "{name} lives in the {value}.",
        "The home of {name} is the {value}.",
        "You can find {name} in the {value}.",
        "{name} has lived in the {value} for years.",
        "Everybody in the {value} knows {name}.",
        "{name} walks home to the {value}.",
    ),
    "job": (
        "{name} works as a {value}.",
        "The job of {name} is {value}.",
        "{name} is a good {value}.",
        "As a {value}, {name} gets up early.",
        "{name} became a {value} long ago.",
        "People call {name} the {value}.",
    ),
    "pet": (
        "{name} has a {value}.",
        "The pet of {name} is a {value}.",
        "{name} feeds a {value} every day.",
        "A {value} lives with {name}.",
        "{name} plays with a {value}.",
        "{name} and a {value} go for a walk.",
    ),
}
QUESTIONS = {
    "place": (
        "Where does {name} live?",
        "What is the home of {name}?",
        "In which place does {name} live?",
        "Tell me where {name} lives.",
    ),
    "job": (
        "What is the job of {name}?",
        "What does {name} do for work?",
        "Which job does {name} have?",
        "Tell me the job of {name}.",
    ),
    "pet": (
        "What is the pet of {name}?",
        "Which pet does {name} have?",
        "Which animal lives with {name}?",
        "Tell me the pet of {name}.",
    ),
}
ANSWER = " {value}"
"""With a space, as the word stands in raw text: " harbor" and "harbor" are different tokens."""

FILL = (
    ("The morning", "The evening", "The winter", "The summer", "The night", "The old road", "The garden", "The sky"),
    ("was", "is often", "felt", "looks", "seems", "was always"),
    ("cold", "warm", "quiet", "bright", "long", "clear", "dark", "lovely"),
    ("near the hill.", "after the rain.", "in this land.", "by the sea.", "today.", "once again."),
)
JOINT = " "
"""Between two sentences."""

THINGS = (("apples", ""), ("books", ""), ("coins", ""), ("stones", ""))
SUMS = (
    "I have {a} {thing} and get {b}. How many?",
    "{a} {thing} here, {b} there. How many in all?",
    "Ann has {a} {thing}, Ben has {b}. Together?",
)
DIFFERENCES = (
    "I have {a} {thing} and lose {b}. How many?",
    "{a} {thing} here, {b} are taken. How many left?",
    "Ann has {a} {thing}, Ben takes {b}. What remains?",
)
ORDERS = {
    "up": (
        "Sort {digits} from small to large.",
        "Put {digits} in rising order.",
        "Order smallest first: {digits}",
    ),
    "down": (
        "Sort {digits} from large to small.",
        "Put {digits} in falling order.",
        "Order largest first: {digits}",
    ),
}
FRAMES = (
    "Write a function f(x) that returns {what}.",
    "Define f(x) as {what}.",
    "Make a Python function f that gives {what}.",
    "I need code: f(x) is {what}.",
)
EXPRESSIONS = {
    "x + {c}": "x plus {c}",
    "x - {c}": "x minus {c}",
    "x * {c}": "x times {c}",
    "x % {c}": "the remainder of x by {c}",
    "max(x, {c})": "the larger of x and {c}",
    "min(x, {c})": "the smaller of x and {c}",
}
