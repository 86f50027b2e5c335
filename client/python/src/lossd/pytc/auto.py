"""Importing this moves a training with PyTorch Connectomics to the server LOSSD_ADDRESS names."""

from lossd.pytc.install import install

installation = install()
