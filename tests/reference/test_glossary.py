"""One table of definitions: complete, consistent, findable."""
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mlcheat
from mlcheat.reference import glossary
from mlcheat.reference.glossary import GLOSSARY, Term, define, related, search, to_markdown

SOURCE = """Accuracy|Algorithm|Attribute|Bias metric|Bias term|Categorical variables|Classification|Classification threshold
Clustering|Confusion matrix|Continuous variables|Convergence|Deduction|Deep learning|Dimension|Epoch|Extrapolation
False positive rate|Feature|Feature selection|Feature vector|Gradient accumulation|Hyperparameters|Induction|Instance|Label
Learning rate|Loss|Machine learning|Model|Neural networks|Noise|Normalization|Null accuracy|Observation|Outlier|Overfitting
Parameters|Precision|Recall|Recall vs Precision|Regression|Regularization|Reinforcement learning
ROC (Receiver Operating Characteristic) curve|Segmentation|Specificity|Supervised learning|Test set|Training set
Transfer learning|True positive rate|Type 1 error|Type 2 error|Underfitting|Universal approximation theorem
Unsupervised learning|Validation set|Variance"""
NOTES = """Activation function|Backpropagation|Batch axis|Batch normalization|Broadcasting|Computation graph|CUDA|Data tensors
Depthwise separable convolution|Differentiation|Elementwise operation|Feature engineering|Gradient boosting|Gradient descent
Kernel function|Momentum|Objective function|Optimizer|Random forest|Random initialization|Residual connection|RMSProp|Adam
Stochastic gradient descent|Tensor|Tensor product|Tensor reshaping|TPU|Weights"""
BOOK = """Beam search|Encoder and decoder|Exposure bias|Positional encoding|Teacher forcing|Transformer
Ablation|A/B test|Attention|AUC|Autoencoder|Automatic differentiation|Bagging|Baseline|Batch size|Bayes error
Bias-variance trade-off|Bootstrap|Boosting|Calibration|Class imbalance|Concept drift|Convolution|Cost function|Cross-entropy
Cross-validation|Curse of dimensionality|Data augmentation|Data leakage|Decision boundary|Decision tree|Dropout
Early stopping|Embedding|Ensemble|Entropy|F1 score|Feature scaling|Fine-tuning|Foundation model|Generalization
Generative and discriminative model|Gini impurity|Gradient|Gradient clipping|Grid and random search|Hallucination
Hidden layer|Imputation|Inference|Interpretability|KL divergence|K-means|k-nearest neighbours|L1 and L2 penalty
Label smoothing|Language model|Latent variable|Likelihood|Logit|Loss surface|MAE|MSE|RMSE|R2|Manifold|MAP
Maximum likelihood|Mini-batch|Multi-label|Naive Bayes|No free lunch|One-hot encoding|Ordinal encoding|Perceptron|Perplexity
Pipeline|Pooling|Precision-recall curve|Prior and posterior|Principal component analysis|Prompt|Quantization|ReLU
Representation|Sampling bias|Seed|Self-supervised learning|Semi-supervised learning|Sigmoid|Softmax|Standardization
Stratification|Support vector machine|Tokenization|Train/serve skew|Vanishing and exploding gradient|Weight decay|Zero-shot|Neuron|Layer|Iteration|Synapse
Feature map|Stride|Padding|Receptive field|Pruning|Information gain|Margin|Bandit|Discount factor|Exploration and exploitation
Markov decision process|Policy|Q-learning|Return|Reward|Value function|Episode"""


def names(text):
    return [name.strip() for name in re.split(r"[|\n]", text)]


@pytest.mark.parametrize("text, source, count", [(SOURCE, "ml cheatsheet", 59), (NOTES, "notes", 29), (BOOK, "book", 120)])
def test_every_heading_is_there(text, source, count):
    assert sorted(names(text)) == sorted(t.name for t in GLOSSARY.values() if t.source == source)
    assert len(names(text)) == count


def test_sorted_complete_and_distinct():
    assert list(GLOSSARY) == sorted(GLOSSARY, key=str.casefold)
    definitions = [t.definition for t in GLOSSARY.values()]
    assert len(set(definitions)) == len(definitions) and min(map(len, definitions)) >= 30
    assert all(d.endswith(".") and d.count(". ") <= 3 for d in definitions)


def test_links_lead_somewhere():
    assert glossary.check_links() == []


def test_a_lost_link_is_reported(monkeypatch):
    lost = Term("X", "Something that is not there at all.", see=("Nothing",), chapter="no/where")
    monkeypatch.setattr(glossary, "GLOSSARY", {"X": lost})
    assert glossary.check_links() == ["X: no term 'Nothing'", "X: no chapter 'no/where'"]


@pytest.mark.parametrize("term", [t for t in GLOSSARY.values() if t.formula], ids=lambda t: t.name)
def test_formulas_are_whole(term):
    """That they render is seen in the browser; here only that nothing was cut off."""
    f = term.formula
    lefts, rights = (len(re.findall(rf"\\{side}(?![a-z])", f)) for side in ("left", "right"))
    assert f.count("{") == f.count("}") and lefts == rights and "$" not in f


@pytest.mark.parametrize("spelling, name", [
    ("overfitting", "Overfitting"), ("OVER-FITTING", "Overfitting"), ("learning rates", "Learning rate"),
    ("losses", "Loss"), ("svm", "Support vector machine"), ("K means", "K-means"), ("log-loss", "Cross-entropy"),
    ("categorical variable", "Categorical variables"), ("hyperparameter", "Hyperparameters"),
    ("ROC", "ROC (Receiver Operating Characteristic) curve"), ("mini batch", "Mini-batch"),
])
def test_spellings(spelling, name):
    assert define(spelling).name == name


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(list(GLOSSARY)), st.sampled_from([str.upper, str.lower, str.title, lambda s: s.replace("-", " ")]))
def test_case_and_hyphens_do_not_matter(name, change):
    assert define(change(name)).name == name


@pytest.mark.parametrize("wrong, near", [("overfiting", "Overfitting"), ("softmaxx", "Softmax"), ("", "")])
def test_an_unknown_term_names_three(wrong, near):
    with pytest.raises(KeyError) as caught:
        define(wrong)
    message = str(caught.value)
    assert near in message and message.count(", ") == 2


@pytest.mark.parametrize("wrong", [None, 3, ["loss"]])
def test_only_text_is_looked_up(wrong):
    with pytest.raises(TypeError, match="expects the name of a term"):
        define(wrong)


def test_search_is_literal_and_names_come_first():
    assert search("") == search("   ") == search("(.*)") == search("zzz") == []
    assert search("variance")[0].name == "Bias-variance trade-off" and len(search("variance")) > 3
    assert [t.name for t in search("svm")] == ["Support vector machine"]


def test_related_goes_both_ways():
    assert define("Recall") in related("Precision") and define("Precision") in related("Recall")
    assert define("Loss") not in related("Loss")


def test_tables():
    assert to_markdown(["epoch", "loss"]).count("\n") == 3 and len(to_markdown().splitlines()) == len(GLOSSARY) + 2
    with pytest.raises(KeyError):
        to_markdown(["no such thing"])


@pytest.mark.parametrize("terms, message", [
    ([Term("A", "First."), Term("B", "Second.", aliases=("a",))], "'a' of 'B' already leads to 'A'"),
    ([Term("A", "First.", aliases=("B",)), Term("B", "Second.", aliases=("A",))], "already leads to"),
    ([Term("A", " ")], "empty name or definition"),
    ([Term("A", "First.", aliases=("",))], "empty name or definition"),
])
def test_a_table_that_contradicts_itself_is_refused(terms, message):
    with pytest.raises(ValueError, match=message):
        glossary._build(terms)


def test_the_table_is_read_only():
    with pytest.raises(TypeError):
        GLOSSARY["Loss"] = Term("Loss", "Mine.")
    with pytest.raises(AttributeError):
        define("loss").definition = "Mine."


def test_at_the_top_level():
    assert mlcheat.define("overfitting") is define("overfitting")
    assert repr(define("epoch")).startswith("Epoch: One pass") and "displaystyle" in define("accuracy")._repr_markdown_()


def test_normalisation_does_not_restrain_weights(advertising):
    """The numbers for the real data."""
    from sklearn.linear_model import LinearRegression, Ridge

    X, y = advertising
    Z = (X - X.mean(0)) / X.std(0)
    raw, scaled, ridge = LinearRegression().fit(X, y), LinearRegression().fit(Z, y), Ridge(100).fit(Z, y)
    np.testing.assert_allclose(raw.predict(X), scaled.predict(Z), rtol=1e-12)
    norms = [np.linalg.norm(m.coef_) for m in (raw, scaled, ridge)]
    np.testing.assert_allclose(norms, [0.194, 4.812, 3.227], atol=6e-4)
    assert abs(np.abs(ridge.predict(Z) - scaled.predict(Z)).max() - 3.44) < 0.01


def test_the_six_sums_of_the_radio_data(advertising):
    X, y = advertising
    radio = X[:, 1] - X[:, 1].mean()
    np.testing.assert_allclose([y.mean(), radio @ radio, radio @ (y - y.mean())], [14.0225, 43865.1208, 8882.502], rtol=1e-9)


def test_null_accuracy_of_the_exams(exams):
    assert max(exams[1].mean(), 1 - exams[1].mean()) == 0.55
