"""What the families of the contrastive objective share: the contrast, its pairs, its metrics."""
