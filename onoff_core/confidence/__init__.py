"""Token distributions -> how sure the model was of each response, and what comes of choosing answers by it.

measures         the numbers of one response           semantic     how far the responses to one problem agree
responses        token distributions in, rows out      clustered    intervals of what is pooled over problems
discrimination   AUROC, selective accuracy             calibration  measures as probabilities, reliability
voting           answers chosen by a measure           stopping     responses stopped early, simulated
tables           the rows of every table but the first
"""

from onoff_core.confidence.measures import MEASURES, Measure
from onoff_core.confidence.responses import Windows, response_rows
from onoff_core.confidence.tables import Verdicts, confidence_tables

__all__ = ["MEASURES", "Measure", "Verdicts", "Windows", "confidence_tables", "response_rows"]
