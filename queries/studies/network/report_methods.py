"""Methods and limits of a network study in words, generated from its request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from queries.studies.report import Bullets, Method, Section

if TYPE_CHECKING:
    from queries.studies.network.stored import Stored


def methods(found: Stored) -> list[Method]:
    """Say how everything was computed, with the numbers of the request."""
    return [*_structure(found), *_steering(found), *_tests(found)]


def _structure(found: Stored) -> list[Method]:
    request, edges = found.request, found.request.edges
    foil = "one wrong answer drawn for each prompt" if request.foil == "random" else (
        "the mean of all wrong answers")  # fmt: skip
    kept = {
        "first": "the right answer's first token ranks first in the vocabulary",
        "choice": "the right answer's logit is above those of all wrong answers",
        "all": "an answer is given, right or wrong",
    }
    return [
        Method("Prompts", f"{len(request.prompts)} candidates; kept are those where "
               f"{kept[request.keep]}. Shares have Wilson's interval.", "Wilson 1927"),
        Method("Attributions", f"Activation times the gradient of the {request.metric} (against "
               f"{foil}) with the SAE's error added back; BOS and attention sinks are masked. "
               f"Aggregated over positions by {', '.join(request.aggregations)}; the study is of "
               f"{request.aggregation}. Kept are features by the rule {request.features!r}.",
               "Nanda 2023; Marks and others 2024"),
        Method("Signed graph", f"Correlation over prompts ({edges.test}), p by Fisher's z, "
               f"Benjamini-Hochberg at {edges.fdr:g} over all pairs, |r| of {edges.min_r:g} or "
               f"more; {edges.resamples} bootstraps of the prompts for stability.",
               "Fisher 1915; Benjamini and Hochberg 1995"),
        Method("Published graph", f"|r| > {request.published_r:g}, without sign, weight or test."),
        Method("Communities", "As published: greedy modularity on the published graph. Of the "
               f"signed graph: Leiden on the positive edges with {request.seeds} seeds on "
               f"{request.bootstraps} bootstraps of the prompts, and Leiden on how often these put "
               f"two features together (at least {request.agreement:g} of the runs); features stay "
               "that are with their community's core in half of the runs. Negative edges join "
               f"nothing. Metrics and sets are of the {request.grouping} communities.",
               "Clauset, Newman and Moore 2004; Traag, Waltman and van Eck 2019; Lancichinetti and "
               "Fortunato 2012; Hennig 2007"),
        Method("Centralities", "Degree, betweenness, closeness and eigenvector centrality, without "
               "weights, on the published graph and on the positive edges of the signed one; ranks "
               f"on {request.rank_bootstraps} bootstraps of the prompts."),
        Method("Metrics", "Of each feature over the kept prompts: sum of attributions, that "
               "without its sign, the largest, their standard deviation, the sum of |r|, the "
               "largest activation in the prompts and, with a build, in its corpus. Compared over "
               f"communities of 3 features or more with {request.permutations} permutations; the "
               f"null that keeps degrees has {request.null_graphs} graphs.",
               "Maslov and Sneppen 2002"),
    ]  # fmt: skip


def _steering(found: Stored) -> list[Method]:
    request = found.request
    listed = ", ".join(f"{factor:g}" for factor in request.factors)
    others = ", ".join(f"{factor:g}" for factor in request.other_factors)
    rest = f"; in {' and '.join(request.units[1:])} {others}" if len(request.units) > 1 else ""
    return [
        Method("Steering", f"At all positions the stream becomes x + s m d: d what a unit of the "
               f"feature adds, m its unit, s = {-request.base:g} x factor (published is x - base x "
               f"factor x m d, with a base of {request.base:g}). Factors in {request.units[0]}: "
               f"{listed}{rest}. Sets with each feature at full strength (none) or divided by the "
               f"set's size (size), as asked: {', '.join(request.normalise)}. {found.steered} "
               "prompts, drawn evenly over the answers."),
        Method("Sets", f"Up to {request.sets} sets of each of the sizes "
               f"{', '.join(map(str, request.set_sizes))} from within a community; the same "
               "features are dealt out again into sets of several communities, so that only the "
               "grouping differs."),
        Method("Controls", "Each feature has another that fires in the prompts and has no edge in "
               "either graph, drawn among the ten most like it in the number of prompts and the "
               "logarithm of the largest activation. Sets within communities have sets of these."),
    ]  # fmt: skip


def _tests(found: Stored) -> list[Method]:
    request = found.request
    draws = f"{request.permutations} permutations, {request.resamples} resamples"
    return [
        Method("H1", "Differences against nothing and against matched controls, paired over "
               "prompts (means over features) and over features (means over prompts); sign flips, "
               f"{draws}. Supported needs both to hold against controls."),
        Method("H2", f"Difference of means over sets and prompts, sets permuted within sizes; "
               f"{draws}. Intervals resample sets and prompts.", "Owen 2007"),
        Method("H3", "Regression of a feature's mean change (with its sign, and without) on each "
               f"centrality, features permuted; {draws}; also beyond the logarithm of the largest "
               "activation.", "Freedman and Lane 1983"),
        Method("Verdicts", f"Of the {found.outcome} in {request.units[0]} at factor "
               f"{request.factor:g}; q by Benjamini and Hochberg over all tests of a table, "
               f"{request.fdr:g}. 'Found 4 times of 5' is the smallest effect with a power of "
               f"80 %. Seed {request.seed}."),
    ]  # fmt: skip


def limits(found: Stored) -> Section:
    """Say what the study does not show."""
    request = found.request
    items = [
        (f"One model, one SAE, one template or few, and the {found.kept} prompts that are kept: "
        "other facts may look otherwise."),
        ("Prompts of one answer are alike. Where an edge is lost within answers, it tells answers "
        "apart rather than prompts (see the table of graphs)."),
        "Attribution is a first-order estimate of what a feature does; steering is measured.",
        ("A factor of 10 and more pushes the stream beyond anything the model ever sees; what it "
        "does there says little of what the feature does."),
        "Controls are as like the network's features as the prompts allow, not more.",
        "Sets share features with each other, so that they are fewer than they look.",
        (
            "Answers count by their first token, and metrics are of the last position. Verdicts "
            f"are of one setting (factor {request.factor:g}), chosen in the request; the tables "
            "have the others."
        ),
    ]  # fmt: skip
    return Section("What this does not show", [Bullets(items)])
