"""Replaying traces through the scheduler: what would these hosts have held of that work, and where would it have been refused?

`chutian simulate --hosts F --trace F [--plot out.png]`. `sheets` reads tables, `traces` makes hosts and requests of them, `replay` drives
`scheduler` and keeps the figures, `report` shows them, `plot` draws them. Nothing of a running cloud is touched or asked.
"""
