"""Build the package from settings.ini, the one place that names versions and requirements."""
import shlex
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(HERE / "settings.ini", encoding="utf-8")
cfg = parser["DEFAULT"]

extras = {
    key.removesuffix("_requirements").replace("_", "-"): shlex.split(value)
    for key, value in cfg.items() if key.endswith("_requirements")
}
extras["dev"] = sorted({r for e in ("tf-cpu", "rl", "book", "test", "bench", "nbdev") for r in extras[e]})

setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    license="MIT",
    keywords=cfg["keywords"],
    python_requires=f">={cfg['min_python']}",
    packages=find_packages(include=["mlcheat", "mlcheat.*"]),
    package_data={"mlcheat": ["py.typed", "*.pyi", "*.json", "**/*.pyi", "**/*.json", "**/*.toml"]},
    install_requires=shlex.split(cfg["requirements"]),
    extras_require=extras,
    entry_points={"console_scripts": ["mlcheat = mlcheat.cli:main"]},
    zip_safe=False,
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Education",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
