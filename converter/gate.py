"""The gate: which loss is too much to leave the workshop. Pure; it reads figures and says no."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from converter.compare import Comparison
from edge.errors import RefusedError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a conversion may cost; shares and differences from 0 to 1."""

    max_flips: float = 0.01
    max_auroc_loss: float = 0.01
    max_runtime_difference: float = 1 / 255


def objections(
    compared: Comparison,
    golden_flips: Sequence[str],
    runtime_difference: float | None,
    limits: Limits,
) -> list[str]:
    """Every reason against this conversion, with its numbers; empty when it may pass.

    `golden_flips` names golden pictures that flip between pass and fail; `runtime_difference` is
    the largest score difference between the two runtimes, None when only one is installed.
    """
    found: list[str] = []
    if compared.flip_share > limits.max_flips:
        found.append(
            f"{len(compared.flips)} of {compared.pictures} test verdicts "
            f"({compared.flip_share:.1%}) flip between pass and fail from float to int8, "
            f"at most {limits.max_flips:.1%} may"
        )
    # `not <=`, so that a figure that is no number counts against the model, never for it
    if not compared.auroc_loss <= limits.max_auroc_loss:
        found.append(
            f"AUROC falls from {compared.auroc_float:.4f} to {compared.auroc_int8:.4f}, "
            f"by at most {limits.max_auroc_loss} it may"
        )
    if not compared.auroc_int8 >= 0.5:
        found.append(
            f"an AUROC of {compared.auroc_int8:.4f} is worse than chance, "
            "as when labels or colours stand in another order"
        )
    if golden_flips:
        found.append(f"golden pictures flip between pass and fail ({', '.join(golden_flips)})")
    if runtime_difference is not None and not runtime_difference <= limits.max_runtime_difference:
        found.append(
            f"the two runtimes differ by {runtime_difference:.4f} in score, "
            f"at most {limits.max_runtime_difference:.4f} they may"
        )
    return found


def pass_gate(
    name: str,
    compared: Comparison,
    golden_flips: Sequence[str],
    runtime_difference: float | None,
    limits: Limits,
) -> None:
    """Lets the conversion `name` through or raises RefusedError with every number against it."""
    found = objections(compared, golden_flips, runtime_difference, limits)
    if found:
        raise RefusedError(
            f"{name}: refused, nothing was written: {'; '.join(found)}; check that the data set is "
            "the one it was trained on, or calibrate with more pictures (--calibration)"
        )


def refuse_unlearned(name: str, metrics: dict[str, Any]) -> None:
    """Raises RefusedError for a model whose own figures say that it learned nothing.

    A file made of it would pass parts silently. Asked before any work; models that say nothing of
    themselves are judged all the same (`pass_judgement`).
    """
    if metrics.get("learned") is False:
        raise RefusedError(
            f"{name}: refused, nothing was written: its training called it not learned (AUROC "
            f"{metrics.get('auroc', float('nan')):.3f}, its interval touches 0.5); train one that "
            "tells good from defective"
        )


def pass_judgement(name: str, refusals: Sequence[str]) -> None:
    """Raises RefusedError when the converted model must not judge parts, with every reason.

    `refusals` are of its evaluation on the test part: not learned, or limits not shown.
    """
    if refusals:
        raise RefusedError(f"{name}: refused, nothing was written: {'; '.join(refusals)}")
