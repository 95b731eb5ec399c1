"""Names of the format of the log; see `summaries`."""

PLUGIN = "sparsity_robustness"
VERSION = 1

RUN = "run"
TOPOLOGY = "topology"
MASKS = "masks/"
INPUTS = "inputs/"
ACCURACY = "accuracy"
REPORT = "report/"
MEASURES = "measures/"
EXAMPLES = "examples/"
EXPORT = "export"
