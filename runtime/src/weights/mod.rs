//! Weights measured on this runtime; `scripts/weights.sh` makes them.
