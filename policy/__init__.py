"""What no preview may contain: a CrossGuard pack (`pulumi preview --policy-pack policy`), docs/review.md."""
