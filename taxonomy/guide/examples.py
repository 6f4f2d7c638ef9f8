"""A complete script for every method with a reference function: imports, a small model, an input, the call, and the attribution printed.

The site and the guide show these scripts, and the tests run each of them. A script is a setting, shared by methods of one kind, and the lines that
are the method's own. The models are untrained, so that a script runs at once; a reader puts a trained one in their place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from taxonomy.guide.settings import SETTINGS


@dataclass(frozen=True, slots=True)
class Example:
    """The lines of one method in its setting; `also` are further names to import beside the function, by module."""

    setting: str
    lines: str
    also: tuple[str, ...] = ()
    """Names from `executable`, or `module:name` from elsewhere in the project."""


_OWN = """
=== gradient: rows
attributions = gradient(model, inputs, target=0)
=== smoothgrad: images
attributions = smoothgrad(model, inputs, target=0, n_samples=50, noise_level=0.15)
=== vargrad: images
attributions = vargrad(model, inputs, target=0, n_samples=50, noise_level=0.15)
=== deconv: images
attributions = deconv(model, inputs, target=0)
=== guided-backprop: images
attributions = guided_backprop(model, inputs, target=0)
=== rect-gradient: images
attributions = rect_gradient(model, inputs, target=0, percentile=80.0)
=== grad-times-input: rows
attributions = grad_times_input(model, inputs, target=0)
=== integrated-gradients: rows
baseline = torch.zeros(1, 4)  # the input without information: choose it with care
attributions = integrated_gradients(model, inputs, target=0, baselines=baseline, n_steps=50)
print(attributions)

with torch.no_grad():  # completeness: the attributions add up to the change of the output
    print(attributions.sum(dim=1), model(inputs)[:, 0] - model(baseline)[:, 0])
=== aumann-shapley-value: rows
# each feature is a quantity, bought from zero
attributions = integrated_gradients(model, inputs, target=0, n_steps=200)
print(attributions)
print(attributions.sum(dim=1))  # the cost of all quantities together
=== path-integrated-gradients: rows
def path(t, x, b):  # from the baseline (t = 0) to the input (t = 1)
    return b + t**2 * (x - b)


attributions = path_integrated_gradients(model, inputs, target=0, path=path)
=== randomised-path-ig: rows
attributions = randomised_path_ig(model, inputs, target=0, n_paths=10)
=== expected-gradients: rows
data = torch.randn(50, 4)  # the training set stands for all baselines
attributions = expected_gradients(model, inputs, target=0, baselines=data)
=== gradient-shap: rows
data = torch.randn(50, 4)
attributions = gradient_shap(model, inputs, target=0, baselines=data, n_samples=200, stdevs=0.1)
=== local-path-integration: rows
data = torch.randn(60, 4)
attributions = local_path_integration(model, inputs, target=0, data=data, n_clusters=5)
=== ig2: rows
references = torch.randn(2, 4)  # inputs of another class
attributions = ig2(model, inputs, target=0, references=references, n_steps=50)
=== cam: images
attributions = cam(model, inputs, target=0, layer=model[3])  # the features that are averaged
=== grad-cam: images
attributions = grad_cam(model, inputs, target=0, layer=model[3], interpolate="bilinear")
=== hires-cam: images
attributions = hires_cam(model, inputs, target=0, layer=model[3])
=== score-cam: images
attributions = score_cam(model, inputs, target=0, layer=model[3])
=== lrp-0: images
attributions = lrp_0(model, inputs, target=0)
=== lrp-epsilon: images
attributions = lrp_epsilon(model, inputs, target=0, epsilon=1e-6)
=== lrp-gamma: images
attributions = lrp_gamma(model, inputs, target=0, gamma=0.25)
=== lrp-alpha-beta: images
attributions = lrp_alpha_beta(model, inputs, target=0, alpha=2.0, beta=1.0)
=== lrp-alpha1-beta0: images
attributions = lrp_alpha_beta(model, inputs, target=0, alpha=1.0, beta=0.0)
=== deep-taylor-decomposition: images
attributions = deep_taylor_decomposition(
    model, inputs, target=0, input_rule="z_box", low=0.0, high=1.0, signed="pair"
)
=== excitation-backprop: images
attributions = excitation_backprop(model, inputs, target=0, signed="pair")
=== attribution-equilibrium: images
attributions = attribution_equilibrium(model, inputs, target=0)
=== deeplift-rescale: images
attributions = deeplift_rescale(model, inputs, target=0, baselines=0.0)
=== deeplift-revealcancel: rows
attributions = deeplift_revealcancel(model, inputs, target=0, baselines=0.0)
=== deep-shap: rows
data = torch.randn(10, 4)
attributions = deep_shap(model, inputs, target=0, baselines=data)
=== patternnet: rows + fit_patterns
data = torch.randn(500, 4)  # the training set
patterns = fit_patterns(model, data)
attributions = patternnet(model, inputs, target=0, patterns=patterns)
=== pattern-attribution: rows + fit_patterns
data = torch.randn(500, 4)  # the training set
patterns = fit_patterns(model, data)
attributions = pattern_attribution(model, inputs, target=0, patterns=patterns)
=== internal-neuron-attribution: rows
# one value for each of 16 neurons
attributions = internal_neuron_attribution(model, inputs, target=0, layer=model[0])
=== propagated-shapley-values: rows
scale = nn.Linear(4, 4)  # a first model, whose outputs the second one reads
attributions = propagated_shapley_values(
    [scale, model], inputs, target=0, baselines=torch.zeros(1, 4)
)
=== occlusion-1: forest
attributions = occlusion_1(model, inputs, target=2, baselines=data.mean(dim=0))
=== occlusion-patch: images
attributions = occlusion_patch(
    model, inputs, target=0, sliding_window_shapes=(1, 3, 3), strides=(1, 1, 1), baselines=0.5
)
=== prediction-difference: forest + executable.removal:Marginal
attributions = prediction_difference(model, inputs, target=2, baselines=Marginal(data))
=== rise: images
attributions = rise(model, inputs, target=0, grid=4, n_samples=500)
=== shapley-value: forest
# exact: 2**4 coalitions
attributions = shapley_value(model, inputs, target=2, baselines=data.mean(dim=0))
print(attributions)
# equal: efficiency
average = data.mean(dim=0, keepdim=True)
print(attributions.sum(dim=1), model(inputs)[:, 2] - model(average)[:, 2])
=== owen-value: forest
unions = [[0, 1], [2, 3]]  # sepals and petals: what belongs together
attributions = owen_value(model, inputs, target=2, unions=unions, baselines=data.mean(dim=0))
=== banzhaf-value: forest
attributions = banzhaf_value(model, inputs, target=2, baselines=data.mean(dim=0))
=== shapley-sampling: forest
attributions = shapley_sampling(
    model, inputs, target=2, baselines=data.mean(dim=0), n_samples=25
)
=== kernel-shap: forest + executable.removal:Marginal
attributions = kernel_shap(model, inputs, target=2, baselines=Marginal(data[::10]))
=== weighted-shap: forest
found = weighted_shap(model, inputs, target=2, baselines=data.mean(dim=0))
print(found.attributions)
print(found.weights)  # chosen for each input
=== causal-shapley: forest
order = [[0, 1], [2, 3]]  # sepals before petals: what is known of causes
attributions = causal_shapley(model, inputs, target=2, data=data, causal_order=order)
=== asymmetric-shapley: forest
order = [[0, 1], [2, 3]]  # sepals before petals
attributions = asymmetric_shapley(
    model, inputs, target=2, causal_order=order, baselines=data.mean(dim=0)
)
=== individual-causal-effect: forest
attributions = individual_causal_effect(model, inputs, target=2, baselines=data.mean(dim=0))
=== average-causal-effect: forest
attributions = average_causal_effect(
    model, inputs, target=2, data=data, baselines=data.mean(dim=0)
)
=== probability-of-sufficiency: forest
attributions = probability_of_sufficiency(model, inputs, target=2, data=data)
=== necessity-and-sufficiency: forest
found = necessity_and_sufficiency(model, inputs, target=2, data=data)
print(found.sufficiency)  # of each of the 2**4 sets of features, numbered by their bits
print(found.minimal)
=== loss-shap: forest
# one-hot labels; positive: the feature lowers the loss
truth = torch.eye(3)[torch.tensor(labels[[60, 100]])]
attributions = loss_shap(model, inputs, truth, loss="squared_error", baselines=data.mean(dim=0))
=== sage: forest
truth = torch.eye(3)[torch.tensor(labels)]  # one-hot labels
# one vector for the whole data set
attributions = sage(model, data, truth, loss="squared_error", baselines=data.mean(dim=0))
=== cxplain: rows + train_cxplain
data = torch.randn(200, 4)
# once; then each explanation is one pass
explainer = train_cxplain(model, data, 0, loss="output", epochs=5, hidden=16)
attributions = cxplain(model, inputs, target=0, explainer=explainer)
=== l2x: rows + train_l2x
data = torch.randn(200, 4)
# once; chooses the two features that say most of the answer
selector = train_l2x(model, data, k=2, epochs=5, hidden=16)
attributions = l2x(model, inputs, target=0, selector=selector)
=== substructure-masking: graph
# which atom belongs to which fragment
fragments = torch.tensor([0, 0, 1, 1, 2])[None, :, None].expand(1, 5, 3)
attributions = occlusion_1(model, inputs, feature_mask=fragments, additional_forward_args=bonds)
=== meaningful-perturbation: images
attributions = meaningful_perturbation(model, inputs, target=0, blur_sigma=2.0, n_steps=60)
=== extremal-perturbation: images
attributions = extremal_perturbation(
    model, inputs, target=0, areas=0.2, blur_sigma=2.0, n_steps=60
)
=== fine-grained-visual-explanations: images
attributions = fine_grained_visual_explanations(
    model, inputs, target=0, sparsity_weight=1e-4, n_steps=60
)
=== guided-feature-inversion: images
attributions = guided_feature_inversion(
    model, inputs, target=2, layer=model[3], mask_layer=model[1],
    area_weight=0.001, background_weight=0.1, sparsity_weight=0.001,
)
=== information-bottleneck: images
data = torch.rand(64, 1, 8, 8)  # for the mean and spread of the features
found = information_bottleneck(model, inputs, target=0, layer=model[1], data=data)
print(found.attribution)  # bits at each pixel
=== real-time-image-saliency: images + train_masking_network
data, labels = torch.rand(32, 1, 8, 8), torch.randint(0, 3, (32,))
# once; then each explanation is one pass
network = train_masking_network(model, data, labels, classes=3, epochs=2, width=4)
attributions = real_time_image_saliency(model, inputs, target=0, network=network)
=== lime: forest
attributions = lime(model, inputs, target=2, data=data, n_samples=1000)
=== baylime: forest
attributions = baylime(model, inputs, target=2, data=data, prior_mean=0.0, n_samples=500)
=== optilime: forest
attributions = optilime(model, inputs, target=2, data=data, adherence=0.6, n_samples=500)
=== s-lime: forest
attributions = s_lime(model, inputs, target=2, data=data, num_features=2, max_samples=2000)
=== c-lime: forest
attributions = c_lime(model, inputs, target=2, stdevs=data.std(dim=0), n_samples=500)
=== glime: images
# four square patches of the image
quarters = (torch.arange(8)[:, None] // 4 * 2 + torch.arange(8) // 4)[None]
attributions = glime(model, inputs, target=0, feature_mask=quarters, n_samples=200)
=== raw-attention: tokens
attributions = raw_attention(model, inputs, layer=-1)  # row i: what position i looks at
=== bert-attention-analysis: tokens
# one head, as the analysis looks at them
attributions = raw_attention(model, inputs, layer=0, head=1)
=== attention-rollout: tokens
attributions = attention_rollout(model, inputs, query=0)  # what reaches the first position
=== attention-flow: tokens
attributions = attention_flow(model, inputs, query=0)  # what can reach the first position
=== gradient-weighted-attention: tokens
attributions = gradient_weighted_attention(model, inputs, target=0, query=0)
=== self-attention-attribution: tokens
attributions = self_attention_attribution(model, inputs, target=0, layer=-1)
=== vit-shapley: patches
# trains an estimator
attributions = vit_shapley(
    model, inputs, target=0, data=data, surrogate_epochs=2, n_epochs=3, n_samples=8
)
=== daam: diffusion
found = daam(model, inputs, additional_forward_args=noise)
print(found.maps.shape)  # (captions, words, height, width)
print(found.maps.sum(dim=(2, 3)))  # attention that each word received in all
=== harsanyi-dividend: forest
found = harsanyi_dividends(model, inputs, target=2, baselines=data.mean(dim=0))
print(found.of_size(2))  # of the pairs, as in found.members()
=== shapley-interaction-index: forest
found = shapley_interaction_index(model, inputs, target=2, order=2, baselines=data.mean(dim=0))
# entry (i, j): interaction of features i and j; on the diagonal what a feature does alone
print(found.matrix())
=== banzhaf-interaction-index: forest
found = banzhaf_interaction_index(model, inputs, target=2, order=2, baselines=data.mean(dim=0))
# entry (i, j): interaction of features i and j; on the diagonal what a feature does alone
print(found.matrix())
=== shapley-taylor-index: forest
found = shapley_taylor_index(model, inputs, target=2, order=2, baselines=data.mean(dim=0))
# entry (i, j): interaction of features i and j; on the diagonal what a feature does alone
print(found.matrix())
=== faith-shap: forest
found = faith_shap(model, inputs, target=2, order=2, baselines=data.mean(dim=0))
# entry (i, j): interaction of features i and j; on the diagonal what a feature does alone
print(found.matrix())
=== sparse-concept-interactions: forest
found = sparse_concept_interactions(
    model, inputs, target=2, n_steps=300, baselines=data.mean(dim=0)
)
print(found.conjunctions.of_size(2))  # AND concepts of two features
=== integrated-hessians: smooth
# entry (i, j): interaction of features i and j
attributions = integrated_hessians(model, inputs, target=0)
=== taylor-interaction-effect: smooth
found = taylor_interaction_effects(model, inputs, target=0, order=2)
print(found.generic().of_size(2))  # of the pairs
=== integrated-directional-gradients: rows
# the meaningful groups of features
groups = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=torch.bool)
found = integrated_directional_gradients(model, inputs, target=0, groups=groups)
print(found.values)
=== indicator-function-attribution: forest + executable.first_principles:shapley_atoms
attributions = stieltjes_attribution(
    model, inputs, target=2, atoms=shapley_atoms, baselines=data.mean(dim=0)
)
"""


def _parsed(text: str) -> dict[str, Example]:
    found = {}
    for part in text.split("=== ")[1:]:
        head, _, lines = part.partition("\n")
        name, _, rest = head.partition(": ")
        setting, _, also = rest.partition(" + ")
        found[name] = Example(setting, lines.strip("\n"), tuple(also.split(", ")) if also else ())
    return found


EXAMPLES = _parsed(_OWN)
"""The example of every method, by its id."""


def script(method: str, function: str) -> str:
    """The complete script for a method, given the name of its reference function.

    Raises
    ------
    KeyError
        If there is no example for the method.

    Examples
    --------
    >>> script("gradient", "gradient").splitlines()[-2:]
    ['attributions = gradient(model, inputs, target=0)', 'print(attributions)']
    """
    example = EXAMPLES[method]
    setting = SETTINGS[example.setting]
    own = example.lines.strip("\n")
    if not re.search(r"^print\(", own, re.MULTILINE):
        own += "\nprint(attributions)"
    # Functions and classes stand two lines apart from what surrounds them, at the top and between setting and call.
    before = "\n\n\n" if setting.lines.lstrip().startswith(("class ", "def ")) else "\n\n"
    between = "\n\n\n" if own.startswith("def ") else "\n\n"
    return f"{setting.imports}\n\n{_imports(function, example.also)}{before}{setting.lines.strip()}{between}{own}"


def _imports(function: str, also: tuple[str, ...]) -> str:
    by_module: dict[str, set[str]] = {"executable": {function}}
    for name in also:
        module, _, rest = name.rpartition(":")
        by_module.setdefault(module or "executable", set()).add(rest)
    return "\n".join(f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(by_module.items()))
