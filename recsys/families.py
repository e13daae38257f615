"""The families of models, by what they learn from and are asked with; no framework."""

FEATURES = "features"  # rows of model inputs; ranks candidates
CLOSED_FORM = "closed_form"  # who took what, solved once; ranks all items, as the following do
FACTORS = "factors"  # who took what, pair by pair
TOWERS = "towers"  # rows of model inputs, of user and item apart
HISTORIES = "histories"  # what users took, in order
SPARK_FEATURES = "spark_features"  # as features, fitted by Spark
SPARK_FACTORS = "spark_factors"  # as factors, fitted by Spark

RANKING_CANDIDATES = (FEATURES, SPARK_FEATURES)
