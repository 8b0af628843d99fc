"""Speed, as ratios within one run: each figure beside the bare limit of the same machine at the same moment."""
