"""Small models with inputs on which the examples of the methods run: one for each kind of model that methods are made for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """A model with inputs: what it imports, and the lines that make it. They name `model` and `inputs`, and `data` where there are some."""

    imports: str
    lines: str


SETTINGS = {
    "rows": Setting(
        "import torch\nfrom torch import nn",
        """
torch.manual_seed(0)
# four features, three outputs
model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
inputs = torch.randn(2, 4)
""",
    ),
    "smooth": Setting(
        "import torch\nfrom torch import nn",
        """
torch.manual_seed(0)
# second derivatives of ReLU vanish: a smooth network
model = nn.Sequential(nn.Linear(4, 16), nn.Softplus(), nn.Linear(16, 3))
inputs = torch.randn(2, 4)
""",
    ),
    "images": Setting(
        "import torch\nfrom torch import nn",
        """
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(),
    nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
    nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
)
inputs = torch.rand(2, 1, 8, 8)  # two grey images
""",
    ),
    "forest": Setting(
        "import torch\nfrom sklearn.datasets import load_iris\nfrom sklearn.ensemble import RandomForestClassifier",
        """
values, labels = load_iris(return_X_y=True)
forest = RandomForestClassifier(n_estimators=20, random_state=0).fit(values, labels)
data = torch.tensor(values)


def model(rows):  # a black box: rows in, one probability for each class out
    return torch.from_numpy(forest.predict_proba(rows.numpy()))


inputs = data[[60, 100]]  # one versicolor, one virginica
""",
    ),
    "tokens": Setting(
        "import torch\nfrom torch import nn",
        """
class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, tokens):
        # read off at the first token
        return self.head(self.encoder(self.embedding(tokens))[:, 0])


torch.manual_seed(0)
model = Classifier().eval()
inputs = torch.tensor([[1, 7, 4, 12, 3]])  # one sentence of five tokens
""",
    ),
    "patches": Setting(
        "import torch\nfrom torch import nn",
        """
class VisionTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 16, 4, stride=4)
        self.class_token = nn.Parameter(torch.randn(1, 1, 16))
        self.places = nn.Parameter(torch.randn(1, 5, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(16, 3)

    def forward(self, images):
        patches = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(images), -1, -1), patches], dim=1)
        return self.head(self.encoder(tokens + self.places)[:, 0])


torch.manual_seed(0)
model = VisionTransformer().eval()
data = torch.rand(32, 1, 8, 8)  # images to train the estimator on
inputs = data[:2]  # four patches each
""",
    ),
    "graph": Setting(
        "import torch\nfrom torch import nn",
        """
class GraphNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 16), nn.Linear(16, 1)

    # atoms: (batch, atoms, features); bonds: (batch, atoms, atoms)
    def forward(self, atoms, bonds):
        hidden = torch.relu(self.first(bonds @ atoms))
        return self.second((bonds @ hidden).sum(dim=1))


torch.manual_seed(0)
model = GraphNetwork()
# one molecule, a chain of five atoms of three elements
inputs = torch.eye(3)[[0, 1, 1, 2, 0]][None]
bonds = (torch.ones(5, 5).tril(1) * torch.ones(5, 5).triu(-1))[None]  # neighbours in the chain
""",
    ),
    "diffusion": Setting(
        "import torch\nfrom torch import nn",
        """
class Painter(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 8)
        # image positions look at the words
        self.look = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, captions, noise):
        image = noise
        for _ in range(4):  # denoising steps
            places = image.flatten(2).transpose(1, 2)
            read, _ = self.look(places, self.words(captions), self.words(captions))
            image = 0.8 * image + 0.2 * read.transpose(1, 2).reshape(image.shape)
        return image


torch.manual_seed(0)
model = Painter().eval()
inputs = torch.tensor([[3, 1, 4]])  # a caption of three words
noise = torch.randn(1, 8, 6, 6)
""",
    ),
}  # fmt: skip
