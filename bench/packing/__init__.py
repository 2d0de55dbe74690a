"""`python -m bench.packing`: how well placement packs, beside published and classic rules, on public traces.

`openb` (Alibaba GPU cluster), `azure` (Azure packing trace 2020), `topology` (Huawei, NUMA and groups), and `roadef` (moving what runs,
`scheduler.reassign`); each module says what is measured. The traces are not part of the project: their paths are given. In the first three
"ours" is `scheduler.place.propose` on a `scheduler.fleet.Fleet`, as the controller runs it, with its one table of weights.
"""
