"""Japanese sentences of the world."""

STATEMENTS = {
    "place": (
        "{name}は{value}に住んでいる。",
        "{name}の家は{value}にある。",
        "{value}に行けば{name}に会える。",
        "{name}は長いあいだ{value}で暮らしている。",
        "{value}の人はみな{name}を知っている。",
        "{name}は夕方、{value}に帰る。",
    ),
    "job": (
        "{name}は{value}として働いている。",
        "{name}の仕事は{value}だ。",
        "{name}は良い{value}だ。",
        "{value}の{name}は朝早く起きる。",
        "{name}は昔から{value}をしている。",
        "みなは{name}を{value}と呼ぶ。",
    ),
    "pet": (
        "{name}は{value}を飼っている。",
        "{name}のペットは{value}だ。",
        "{name}は毎日{value}にえさをやる。",
        "{value}が{name}の家にいる。",
        "{name}は{value}と遊ぶ。",
        "{name}と{value}が散歩する。",
    ),
}
QUESTIONS = {
    "place": (
        "{name}はどこに住んでいますか。",
        "{name}の家はどこですか。",
        "{name}が暮らす場所はどこですか。",
        "{name}の住む場所を教えて。",
    ),
    "job": (
        "{name}の仕事は何ですか。",
        "{name}は何をして働いていますか。",
        "{name}の職業は何ですか。",
        "{name}の仕事を教えて。",
    ),
    "pet": (
        "{name}のペットは何ですか。",
        "{name}は何を飼っていますか。",
        "{name}と暮らす動物は何ですか。",
        "{name}のペットを教えて。",
    ),
}
ANSWER = "{value}"

FILL = (
    ("朝は", "夕方は", "冬は", "夏は", "夜は", "古い道は", "庭は", "空は"),
    ("とても", "いつも", "少し", "今日も", "本当に", "やはり"),
    ("寒い", "暖かい", "静かで良い", "明るい", "長い", "きれいだ", "暗い", "楽しい"),
    ("と人は言う。", "と思う。", "らしい。", "と聞いた。", "そうだ。", "と歌われる。"),
)
JOINT = ""

THINGS = (("りんご", "個"), ("石", "個"), ("紙", "枚"), ("皿", "枚"))
SUMS = (
    "{thing}が{a}{unit}、{b}{unit}もらう。何{unit}？",
    "ここに{thing}{a}{unit}、あそこに{b}{unit}。全部で？",
    "花子は{thing}{a}{unit}、太郎は{b}{unit}。合わせて？",
)
DIFFERENCES = (
    "{thing}が{a}{unit}、{b}{unit}なくす。何{unit}？",
    "ここに{thing}{a}{unit}、{b}{unit}取った。残りは？",
    "花子は{thing}{a}{unit}、太郎に{b}{unit}渡す。残りは？",
)
ORDERS = {
    "up": (
        "{digits}を小さい順に並べて。",
        "小さい方から並べてください：{digits}",
        "{digits}を昇順にしてください。",
    ),
    "down": (
        "{digits}を大きい順に並べて。",
        "大きい方から並べてください：{digits}",
        "{digits}を降順にしてください。",
    ),
}
FRAMES = (
    "{what}を返す関数f(x)を書いてください。",
    "f(x)を{what}と定義して。",
    "Pythonで{what}を求める関数fを作って。",
    "コードを書いて：f(x)は{what}。",
)
EXPRESSIONS = {
    "x + {c}": "xに{c}を足した値",
    "x - {c}": "xから{c}を引いた値",
    "x * {c}": "xに{c}を掛けた値",
    "x % {c}": "xを{c}で割った余り",
    "max(x, {c})": "xと{c}の大きい方",
    "min(x, {c})": "xと{c}の小さい方",
}
