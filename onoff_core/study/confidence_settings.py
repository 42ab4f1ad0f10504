"""The section `confidence`: how sure the model was of each response, and what comes of choosing by it."""

from onoff_core.study.values import Count, Section


class ConfidenceSettings(Section):
    """What decides a partition's confidence. DeepConf's own window is 2,048 tokens, for responses of up to 130,000."""

    # tokens of a window; null: a sixteenth of sampling.max_length (imported: of the longest response), 16 to 2048
    window: Count | None = None
    tail: Count | None = None  # last tokens of a response; null: as many as a window has
    top_k: Count = 20  # most probable tokens of the token confidence; where fewer are kept, these
    warm_up: Count | None = None  # responses that set the threshold; null: a quarter of a problem's, at most 16
    subsets: Count = 1000  # of the responses, a problem and k, that votes are averaged over where there are more
