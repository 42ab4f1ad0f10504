"""The query behind the view `series`: the steps of a training run side by side, with what changed from step to step.

Which model is which step is in `checkpoints`; of models that the study has no longer (trainers remove checkpoints), in
the facts of their samples. The fit is of R = -a exp(H) + b, accuracy against mean entropy (`onoff_core.series.fit`):
linear in a and b, so that SQL's regression is the fit.
"""

FEWEST_STEPS = 3  # two always lie on a curve with two parameters
SMALLEST_SPREAD = 1e-9  # nats; entropies that differ by less are equal but for rounding

SERIES_COMMENTS = {
    "series": "the training run",
    "step": "of it",
    "dataset": "short name, from onoff.yaml",
    "model": "the checkpoint, short name",
    "accuracy": "mean over problems of the mean reward; null: no statistics yet",
    "interval_low": "95 % interval of it, other problems like these",
    "interval_high": "95 % interval of it, other problems like these",
    "pass_at_k": "as in statistics",
    "mean_num_tokens": "tokens a response",
    "mean_entropy": "nats, over all tokens; null: no token distributions yet",
    "num_tokens": "tokens that mean_entropy is over",
    "kl_to_first": "nats a token, KL(this step || the first step), by cross_statistics",
    "kl_to_previous": "nats a token, KL(this step || the step before), by cross_statistics",
    "fit_a": "of accuracy = -a exp(mean_entropy) + b over the steps of this series and data set",
    "fit_b": "of the same",
    "fitted_accuracy": "what the fit gives at this step",
    "residual": "accuracy - fitted_accuracy",
    "num_fitted": "steps with both numbers, which the fit is over",
    "in_study": "whether the study that published last has the model; null: nobody said",
    "is_stale": "whether that study would make the statistics anew",
    "missing": "why each null number is null",
}
_STEPS = """SELECT model, series, step FROM checkpoints UNION
    SELECT model, (facts->>'series'), (facts->>'step')::INTEGER FROM generations AS g
    WHERE asset = 'samples' AND (facts->>'series') IS NOT NULL AND in_study IS NOT TRUE
    AND NOT EXISTS (FROM checkpoints AS c WHERE c.model = g.model)"""
_SCORES = (
    """SELECT dataset, model, reference, mean_kl FROM cross_statistics WHERE text = 'response' AND level = 'token'"""
)
_BY_RUN = "PARTITION BY series, dataset"
_FITTED = "s.accuracy IS NOT NULL AND e.mean_entropy IS NOT NULL"
_FITS = f"num_fitted >= {FEWEST_STEPS} AND spread > {SMALLEST_SPREAD}"


def series_query() -> str:
    """One row per step and data set of which there are samples."""
    return f"""
WITH steps AS ({_STEPS}),
sampled AS (SELECT dataset, model, in_study FROM generations WHERE asset = 'samples'),
entropies AS (
    SELECT dataset, model, avg(entropy) AS mean_entropy, count(*) AS num_tokens FROM token_distributions
    WHERE forced IS NOT TRUE GROUP BY dataset, model),
scores AS ({_SCORES}),
joined AS (
    SELECT series, step, dataset, model, s.accuracy, s.interval_low, s.interval_high, s.pass_at_k, s.mean_num_tokens,
        e.mean_entropy, e.num_tokens, sampled.in_study, s.is_stale,
        first_value(model) OVER steps_of AS first_model, lag(model) OVER steps_of AS previous_model,
        count(*) FILTER ({_FITTED}) OVER ({_BY_RUN}) AS num_fitted,
        max(e.mean_entropy) FILTER ({_FITTED}) OVER ({_BY_RUN})
            - min(e.mean_entropy) FILTER ({_FITTED}) OVER ({_BY_RUN}) AS spread
    FROM steps JOIN sampled USING (model) LEFT JOIN statistics AS s USING (dataset, model)
    LEFT JOIN entropies AS e USING (dataset, model)
    WINDOW steps_of AS ({_BY_RUN} ORDER BY step)),
compared AS (
    SELECT joined.*, f.mean_kl AS kl_to_first, p.mean_kl AS kl_to_previous
    FROM joined
    LEFT JOIN scores AS f ON f.dataset = joined.dataset AND f.model = joined.model AND f.reference = first_model
    LEFT JOIN scores AS p ON p.dataset = joined.dataset AND p.model = joined.model AND p.reference = previous_model),
fitted AS (
    SELECT *, CASE WHEN {_FITS} THEN -regr_slope(accuracy, exp(mean_entropy)) OVER ({_BY_RUN})
        END AS fit_a,
        CASE WHEN {_FITS} THEN regr_intercept(accuracy, exp(mean_entropy)) OVER ({_BY_RUN})
        END AS fit_b
    FROM compared)
SELECT series, step, dataset, model, accuracy, interval_low, interval_high, pass_at_k, mean_num_tokens, mean_entropy,
    num_tokens, kl_to_first, kl_to_previous, fit_a, fit_b, fit_b - fit_a * exp(mean_entropy) AS fitted_accuracy,
    accuracy - (fit_b - fit_a * exp(mean_entropy)) AS residual, num_fitted, in_study, is_stale,
    list_filter([{_reasons()}], lambda one: one IS NOT NULL) AS missing
FROM fitted"""


def _reasons() -> str:
    """A struct of each number that may be null; null where the number is there."""
    no_scores = "'no exact cross-scores of ' || model || ' by '"
    said = (
        ("accuracy", "accuracy IS NULL", "'no statistics of ' || dataset || '|' || model"),
        ("mean_entropy", "mean_entropy IS NULL", "'no token distributions of ' || dataset || '|' || model"),
        (
            "kl_to_first",
            "kl_to_first IS NULL",
            f"CASE WHEN model = first_model THEN 'it is the first step' ELSE {no_scores} || first_model END",
        ),
        (
            "kl_to_previous",
            "kl_to_previous IS NULL",
            "CASE WHEN previous_model IS NULL THEN 'there is no step before it' "
            f"ELSE {no_scores} || previous_model END",
        ),
        (
            "fit_a",
            "fit_a IS NULL",
            f"CASE WHEN num_fitted < {FEWEST_STEPS} THEN 'a fit takes {FEWEST_STEPS} steps with accuracy and entropy' "
            "ELSE 'all steps have the same entropy' END",
        ),
    )
    return ", ".join(
        f"CASE WHEN {condition} THEN {{'statistic': '{name}', 'reason': {reason}}} END"
        for name, condition, reason in said
    )
