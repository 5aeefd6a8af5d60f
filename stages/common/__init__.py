"""What the stages share: params, tables, engines, statistics, the toy world, and small helpers."""
