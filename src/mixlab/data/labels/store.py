"""Every answer of a labeller that was ever paid for, by the content of its question: for all sources and labellers."""

from mixlab.data.replies import ReplyStore


class LabelStore(ReplyStore):
    """An open store of labellers' answers."""

    WHAT = "label store"
    FORMAT = 1
