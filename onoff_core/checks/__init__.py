"""Invariants of tables, with their evidence: tables in, evidence out.

The platform shows these as asset checks; a script can call them as well. A check is a function named as the invariant
it guards, and its docstring is its description everywhere.
"""

from onoff_core.checks.branches import BRANCHES_CHECKS, check_branches
from onoff_core.checks.confidence import CONFIDENCE_CHECKS, check_confidence
from onoff_core.checks.cross_scores import CROSS_SCORES_CHECKS, check_cross_scores
from onoff_core.checks.evidence import Check, Consequence, Evidence, Found
from onoff_core.checks.rewards import REWARDS_CHECKS, check_rewards
from onoff_core.checks.samples import SAMPLES_CHECKS, check_samples
from onoff_core.checks.token_distributions import TOKEN_DISTRIBUTIONS_CHECKS, check_token_distributions

CHECKS: dict[str, tuple[Check, ...]] = {  # by the asset they guard
    "samples": SAMPLES_CHECKS,
    "rewards": REWARDS_CHECKS,
    "token_distributions": TOKEN_DISTRIBUTIONS_CHECKS,
    "cross_scores": CROSS_SCORES_CHECKS,
    "branches": BRANCHES_CHECKS,
    "confidence": CONFIDENCE_CHECKS,
}

__all__ = [
    "CHECKS",
    "Check",
    "Consequence",
    "Evidence",
    "Found",
    "check_branches",
    "check_confidence",
    "check_cross_scores",
    "check_rewards",
    "check_samples",
    "check_token_distributions",
]
