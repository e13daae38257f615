"""Which country each store is in, for rules that hold in one."""

from collections.abc import Mapping, Sequence

from pyspark.sql import functions as F

from recsys import columns as c
from recsys.scoring.rules import Rule
from recsys.stages import Run


def countries_of(run: Run, rules: Sequence[Rule]) -> Mapping[str, str]:
    """As `features.countries` says; where stores are countries, also each store that sold something of late, or is a
    user's main store. Nothing is looked up for rules that name no country."""
    settings = run.config.features
    if not settings.stores_are_countries or all(rule.country is None for rule in rules):
        return settings.countries
    main = run.features.user.select(F.col(c.USER_MAIN_STORE_ID).alias(c.STORE_ID))
    stores = run.features.context.select(c.STORE_ID).union(main).where(F.col(c.STORE_ID).isNotNull()).distinct()
    return {**{row[c.STORE_ID]: row[c.STORE_ID] for row in stores.collect()}, **settings.countries}
