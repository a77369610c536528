-- The same warehouse for MySQL: see `warehouse.sql`, and docs/mysql.md for how it is chosen.

CREATE TABLE dim_date (
    date_id     date        PRIMARY KEY,
    year        integer     NOT NULL,
    month       integer     NOT NULL,
    day         integer     NOT NULL,
    day_of_week integer     NOT NULL,
    day_name    varchar(16) NOT NULL,
    month_name  varchar(16) NOT NULL,
    quarter     integer     NOT NULL
) CHARACTER SET utf8mb4;

CREATE TABLE dim_staff (
    staff_id        integer  PRIMARY KEY,
    first_name      longtext NOT NULL,
    last_name       longtext NOT NULL,
    department_name longtext NOT NULL,
    location        longtext NOT NULL,
    email_address   longtext NOT NULL
) CHARACTER SET utf8mb4;

CREATE TABLE dim_location (
    location_id    integer  PRIMARY KEY,
    address_line_1 longtext NOT NULL,
    address_line_2 longtext,
    district       longtext,
    city           longtext NOT NULL,
    postal_code    longtext NOT NULL,
    country        longtext NOT NULL,
    phone          longtext NOT NULL
) CHARACTER SET utf8mb4;

CREATE TABLE dim_currency (
    currency_id   integer  PRIMARY KEY,
    currency_code longtext NOT NULL,
    currency_name longtext NOT NULL
) CHARACTER SET utf8mb4;

CREATE TABLE dim_design (
    design_id     integer  PRIMARY KEY,
    design_name   longtext NOT NULL,
    file_location longtext NOT NULL,
    file_name     longtext NOT NULL
) CHARACTER SET utf8mb4;

CREATE TABLE dim_counterparty (
    counterparty_id                   integer  PRIMARY KEY,
    counterparty_legal_name           longtext NOT NULL,
    counterparty_legal_address_line_1 longtext NOT NULL,
    counterparty_legal_address_line_2 longtext,
    counterparty_legal_district       longtext,
    counterparty_legal_city           longtext NOT NULL,
    counterparty_legal_postal_code    longtext NOT NULL,
    counterparty_legal_country        longtext NOT NULL,
    counterparty_legal_phone_number   longtext NOT NULL
) CHARACTER SET utf8mb4;

CREATE TABLE dim_payment_type (
    payment_type_id   integer  PRIMARY KEY,
    payment_type_name longtext NOT NULL
) CHARACTER SET utf8mb4;

CREATE TABLE dim_transaction (
    transaction_id    integer  PRIMARY KEY,
    transaction_type  longtext NOT NULL,
    sales_order_id    integer,
    purchase_order_id integer
) CHARACTER SET utf8mb4;

CREATE TABLE dim_sales_target (
    staff_id integer,
    month    varchar(7) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
    target   decimal(65, 30) NOT NULL,
    currency longtext        NOT NULL,
    PRIMARY KEY (staff_id, month)
) CHARACTER SET utf8mb4;

CREATE TABLE fx_reference_rate (
    fx_record_id   bigint          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    published_date date            NOT NULL,
    base           varchar(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    quote          varchar(16) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    rate           decimal(65, 30),
    KEY (published_date, base, quote, fx_record_id)
) CHARACTER SET utf8mb4;

-- The newest record of an order is found by the second key of its table.

CREATE TABLE fact_sales_order (
    sales_record_id             bigint         NOT NULL AUTO_INCREMENT PRIMARY KEY,
    sales_order_id              integer        NOT NULL,
    created_date                date           NOT NULL,
    created_time                time(6)        NOT NULL,
    last_updated_date           date           NOT NULL,
    last_updated_time           time(6)        NOT NULL,
    sales_staff_id              integer        NOT NULL,
    counterparty_id             integer        NOT NULL,
    units_sold                  integer        NOT NULL,
    unit_price                  decimal(10, 2) NOT NULL,
    currency_id                 integer        NOT NULL,
    design_id                   integer        NOT NULL,
    agreed_payment_date         date           NOT NULL,
    agreed_delivery_date        date           NOT NULL,
    agreed_delivery_location_id integer        NOT NULL,
    KEY (sales_order_id, sales_record_id),
    FOREIGN KEY (created_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (last_updated_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (sales_staff_id) REFERENCES dim_staff (staff_id),
    FOREIGN KEY (counterparty_id) REFERENCES dim_counterparty (counterparty_id),
    FOREIGN KEY (currency_id) REFERENCES dim_currency (currency_id),
    FOREIGN KEY (design_id) REFERENCES dim_design (design_id),
    FOREIGN KEY (agreed_payment_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (agreed_delivery_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (agreed_delivery_location_id) REFERENCES dim_location (location_id)
) CHARACTER SET utf8mb4;

CREATE TABLE fact_purchase_order (
    purchase_record_id          bigint          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    purchase_order_id           integer         NOT NULL,
    created_date                date            NOT NULL,
    created_time                time(6)         NOT NULL,
    last_updated_date           date            NOT NULL,
    last_updated_time           time(6)         NOT NULL,
    staff_id                    integer         NOT NULL,
    counterparty_id             integer         NOT NULL,
    item_code                   longtext        NOT NULL,
    item_quantity               integer         NOT NULL,
    item_unit_price             decimal(65, 30) NOT NULL,
    currency_id                 integer         NOT NULL,
    agreed_delivery_date        date            NOT NULL,
    agreed_payment_date         date            NOT NULL,
    agreed_delivery_location_id integer         NOT NULL,
    KEY (purchase_order_id, purchase_record_id),
    FOREIGN KEY (created_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (last_updated_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (staff_id) REFERENCES dim_staff (staff_id),
    FOREIGN KEY (counterparty_id) REFERENCES dim_counterparty (counterparty_id),
    FOREIGN KEY (currency_id) REFERENCES dim_currency (currency_id),
    FOREIGN KEY (agreed_delivery_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (agreed_payment_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (agreed_delivery_location_id) REFERENCES dim_location (location_id)
) CHARACTER SET utf8mb4;

CREATE TABLE fact_payment (
    payment_record_id bigint          NOT NULL AUTO_INCREMENT PRIMARY KEY,
    payment_id        integer         NOT NULL,
    created_date      date            NOT NULL,
    created_time      time(6)         NOT NULL,
    last_updated_date date            NOT NULL,
    last_updated_time time(6)         NOT NULL,
    transaction_id    integer         NOT NULL,
    counterparty_id   integer         NOT NULL,
    payment_amount    decimal(65, 30) NOT NULL,
    currency_id       integer         NOT NULL,
    payment_type_id   integer         NOT NULL,
    paid              boolean         NOT NULL,
    payment_date      date            NOT NULL,
    KEY (payment_id, payment_record_id),
    FOREIGN KEY (created_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (last_updated_date) REFERENCES dim_date (date_id),
    FOREIGN KEY (transaction_id) REFERENCES dim_transaction (transaction_id),
    FOREIGN KEY (counterparty_id) REFERENCES dim_counterparty (counterparty_id),
    FOREIGN KEY (currency_id) REFERENCES dim_currency (currency_id),
    FOREIGN KEY (payment_type_id) REFERENCES dim_payment_type (payment_type_id),
    FOREIGN KEY (payment_date) REFERENCES dim_date (date_id)
) CHARACTER SET utf8mb4;
