"""Commands on top of what the stages wrote: audit, publish, plan. No stage imports them."""
