"""Discovering landmarks: encoder, objective, training, redundancy removal, inference."""
