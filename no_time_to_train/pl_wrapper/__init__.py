"""The method as a LightningModule."""
