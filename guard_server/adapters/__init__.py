"""The life of an adapter: fetched, verified, loaded, warmed up, probed, promoted, drained, retired."""
