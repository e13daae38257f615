"""Every column name of every table, once. Spark-side and torch-side code both import from here."""

# Entities and places
USER_ID = "user_id"
ITEM_ID = "item_id"
USER_IDX = "user_idx"
ITEM_IDX = "item_idx"
CATEGORY_IDX = "category_idx"
STORE_ID = "store_id"
BASKET_ID = "basket_id"

# Events
EVENT_TYPE = "event_type"
PURCHASE = "purchase"
EVENT_TS = "event_ts"
EVENT_DATE = "event_date"
LOCAL_HOUR = "local_hour"
LOCAL_WEEKDAY = "local_weekday"
QUANTITY = "quantity"
AMOUNT_CENTS = "amount_cents"

# Items, users, promotions
NAME = "name"
DEPARTMENT = "department"
CATEGORY = "category"
BRAND = "brand"
IS_ELIGIBLE = "is_eligible"
IS_OPTED_OUT = "is_opted_out"
ATTRIBUTES = "attributes"
STARTS_ON = "starts_on"
ENDS_BEFORE = "ends_before"
IS_DISPLAYED = "is_displayed"
IS_MAILED = "is_mailed"

# Provenance and quality
SOURCE_TABLE = "source_table"
SOURCE_FILE = "source_file"
SOURCE_ROW = "source_row"
REASONS = "reasons"
RAW = "raw"
ROWS_READ = "rows_read"
ROWS_KEPT = "rows_kept"
ROWS_QUARANTINED = "rows_quarantined"
ROWS_DUPLICATE = "rows_duplicate"

# Time of knowledge
AS_OF_DATE = "as_of_date"
RUN_DATE = "run_date"

# User features
USER_PURCHASES_7D = "user_purchases_7d"
USER_PURCHASES_28D = "user_purchases_28d"
USER_PURCHASES_91D = "user_purchases_91d"
USER_BASKETS_28D = "user_baskets_28d"
USER_BASKETS_91D = "user_baskets_91d"
USER_SPEND_CENTS_28D = "user_spend_cents_28d"
USER_SPEND_CENTS_91D = "user_spend_cents_91d"
USER_MEAN_SPEND_CENTS_91D = "user_mean_spend_cents_91d"
USER_BASKET_ITEMS_91D = "user_basket_items_91d"
USER_RECENCY_DAYS = "user_recency_days"
USER_HEAT_28D = "user_heat_28d"
USER_HEAT_91D = "user_heat_91d"
USER_MAIN_STORE_ID = "user_main_store_id"
USER_USUAL_HOUR = "user_usual_hour"
USER_USUAL_WEEKDAY = "user_usual_weekday"

# User x category features
USER_CATEGORY_PURCHASES_91D = "user_category_purchases_91d"
USER_CATEGORY_SHARE_91D = "user_category_share_91d"

# Item features
ITEM_PRICE_CENTS_91D = "item_price_cents_91d"
ITEM_PURCHASES_7D = "item_purchases_7d"
ITEM_PURCHASES_28D = "item_purchases_28d"
ITEM_PURCHASES_91D = "item_purchases_91d"
ITEM_BUYERS_28D = "item_buyers_28d"
ITEM_BUYERS_91D = "item_buyers_91d"
ITEM_REPEAT_RATE_91D = "item_repeat_rate_91d"
ITEM_CATEGORY_RANK_28D = "item_category_rank_28d"

# User x item features
USER_ITEM_PURCHASES_28D = "user_item_purchases_28d"
USER_ITEM_PURCHASES_91D = "user_item_purchases_91d"
USER_ITEM_PURCHASES_365D = "user_item_purchases_365d"
USER_ITEM_RECENCY_DAYS = "user_item_recency_days"
USER_ITEM_MEAN_GAP_DAYS = "user_item_mean_gap_days"

# Context features
CONTEXT_PURCHASE_SHARE_91D = "context_purchase_share_91d"
CONTEXT_BASKET_CENTS_91D = "context_basket_cents_91d"
STORE_ITEM_DISPLAY_DAYS_7D = "store_item_display_days_7d"
STORE_ITEM_MAIL_DAYS_7D = "store_item_mail_days_7d"

# Sequence features
SEQUENCE_ITEMS = "sequence_items"
SEQUENCE_EVENT_TYPES = "sequence_event_types"
SEQUENCE_GAP_HOURS = "sequence_gap_hours"
SEQUENCE_PRICE_CENTS = "sequence_price_cents"
SEQUENCE_MASK = "sequence_mask"

# Graph features
NEIGHBOUR_ID = "neighbour_id"
EDGE_WEIGHT_365D = "edge_weight_365d"
EDGE_USER_DEGREE_365D = "edge_user_degree_365d"
EDGE_ITEM_DEGREE_365D = "edge_item_degree_365d"
EDGE_NORM_365D = "edge_norm_365d"
ITEM_ITEM_BASKETS_91D = "item_item_baskets_91d"
ITEM_ITEM_COSINE_91D = "item_item_cosine_91d"
ITEM_ITEM_LIFT_91D = "item_item_lift_91d"
ITEM_ITEM_RANK_91D = "item_item_rank_91d"
USER_NEIGHBOURS_ITEMS_365D = "user_neighbours_items_365d"
USER_NEIGHBOURS_MASK_365D = "user_neighbours_mask_365d"
ITEM_NEIGHBOURS_USERS_365D = "item_neighbours_users_365d"
ITEM_NEIGHBOURS_MASK_365D = "item_neighbours_mask_365d"

# Examples
SPLIT = "split"
LABEL = "label"
EXAMPLE_KEY = "example_key"
TRAIN = "train"
VALIDATION = "validation"
TEST = "test"

# Recommendations
SCENE = "scene"
RANK = "rank"
SCORE = "score"
SOURCE = "source"
REASON = "reason"
MODEL_NAME = "model_name"
MODEL_VERSION = "model_version"
RUN_ID = "run_id"

# Operations
STAGE = "stage"
FINGERPRINT = "fingerprint"
FINISHED_TS = "finished_ts"
SECONDS = "seconds"
ROWS = "rows"
VERSIONS = "versions"
FIGURES = "figures"
METRIC = "metric"
K = "k"
LIST_KIND = "list_kind"
RECOMMENDER = "recommender"
VALUE = "value"
NUM_USERS = "num_users"
LOW = "low"
HIGH = "high"
