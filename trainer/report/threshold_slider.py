"""The threshold slider: counts for every threshold, and the script that shows them."""

import json

import numpy as np
from numpy.typing import NDArray

from trainer.evaluation import Evaluation
from trainer.evaluation.rates import rate_of

MAX_POSITIONS = 400  # of a slider: finer steps are not usable


def threshold_slider(
    evaluation: Evaluation, scores: NDArray[np.float64], defective: NDArray[np.bool_]
) -> str:
    """The HTML of the slider with its figures and its script.

    Positions are scores of the test set, so each step changes a count. The bound at each position
    is computed here, exactly, not in the browser.
    """
    lines = _lines(scores, evaluation)
    defects, good = np.sort(scores[defective]), np.sort(scores[~defective])
    missed = np.searchsorted(defects, lines, "left")
    failed = len(good) - np.searchsorted(good, lines, "left")
    n_bad, n_good = evaluation.escapes.independent, evaluation.false_rejects.independent
    data = {
        "line": [round(float(line), 6) for line in lines],
        "missed": missed.tolist(),
        "failed": failed.tolist(),
        "missedMost": [_bound(int(k), len(defects), n_bad) for k in missed],
        "failedMost": [_bound(int(k), len(good), n_good) for k in failed],
        "defects": len(defects),
        "good": len(good),
        "reject": int(np.abs(lines - evaluation.thresholds.reject_at).argmin()),
        "review": int(np.abs(lines - evaluation.thresholds.review_from).argmin()),
    }
    # "<" is escaped: a closing tag in the data would end the script.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return _HTML.replace("{last}", str(len(lines) - 1)).replace("{data}", text)


def _bound(k: int, n: int, independent: float) -> float:
    """The one-sided 95 % bound of k in n, in per cent, two decimals."""
    return round(100 * rate_of(k, n, independent).at_most, 2)


def _lines(scores: NDArray[np.float64], evaluation: Evaluation) -> NDArray[np.float64]:
    distinct = np.unique(scores)
    if len(distinct) > MAX_POSITIONS:
        distinct = distinct[
            np.unique(np.linspace(0, len(distinct) - 1, MAX_POSITIONS).astype(np.int64))
        ]
    current = [evaluation.thresholds.review_from, evaluation.thresholds.reject_at]
    return np.unique(np.concatenate([distinct, current, [1.0]]))


_HTML = """
<div class="slider" id="slider">
<label>review from <output id="s-review-line"></output>
<input type="range" id="s-review" min="0" max="{last}" step="1"></label>
<label>fail from <output id="s-reject-line"></output>
<input type="range" id="s-reject" min="0" max="{last}" step="1"></label>
<p class="hint"><button type="button" id="s-reset">back to the model's own thresholds</button></p>
<table class="figures">
<thead><tr><th></th><th>of the test set</th><th>to claim, at 95 %</th></tr></thead>
<tbody>
<tr><th>escapes</th><td id="s-escapes"></td><td id="s-escapes-most"></td></tr>
<tr><th>false rejects</th><td id="s-failed"></td><td id="s-failed-most"></td></tr>
<tr><th>for review</th><td id="s-reviews"></td><td></td></tr>
</tbody></table>
<noscript>
<p class="hint">The sliders need JavaScript; everything else on this page does not.</p>
</noscript>
</div>
<script>
(function () {
  "use strict";
  var d = {data};
  var get = function (id) { return document.getElementById(id); };
  var review = get("s-review"), reject = get("s-reject");
  var share = function (k, n) {
    return k + " of " + n + " (" + (n ? (100 * k / n).toFixed(1) : "0.0") + " %)";
  };
  function show() {
    var r = +review.value, f = +reject.value;
    var missed = d.missed[r], failed = d.failed[f];
    // Between the lines: defects below "fail" that do not pass, good parts from "review" on.
    var waiting = (d.missed[f] - missed) + (d.failed[r] - failed);
    get("s-review-line").textContent = d.line[r].toFixed(4);
    get("s-reject-line").textContent = d.line[f].toFixed(4);
    get("s-escapes").textContent = share(missed, d.defects);
    get("s-failed").textContent = share(failed, d.good);
    get("s-reviews").textContent = share(waiting, d.defects + d.good);
    get("s-escapes-most").textContent = "at most " + d.missedMost[r] + " %";
    get("s-failed-most").textContent = "at most " + d.failedMost[f] + " %";
  }
  review.addEventListener("input", function () {
    if (+review.value > +reject.value) { reject.value = review.value; }
    show();
  });
  reject.addEventListener("input", function () {
    if (+reject.value < +review.value) { review.value = reject.value; }
    show();
  });
  function reset() { review.value = d.review; reject.value = d.reject; show(); }
  get("s-reset").addEventListener("click", reset);
  reset();
})();
</script>
"""
