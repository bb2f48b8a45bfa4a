"""Plan and run a pipeline that has nothing to do with code: five views and one analysis over three Parquet files.

    python examples/orders.py FOLDER    # writes its files and the store below FOLDER and prints what came of it

Nothing below declares what a view reads: its inputs, columns and order come from its own query plan.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import codeintel

CUSTOMERS = pa.schema({"customer": pa.int64(), "country": pa.string()})
PRODUCTS = pa.schema({"product": pa.int64(), "price": pa.float64(), "weight": pa.float64()})
ORDERS = pa.schema({"order_id": pa.int64(), "customer": pa.int64(), "product": pa.int64(), "pieces": pa.int64()})

VIEWS = {
    "order_values": """
        -- key: order_id
        SELECT o.order_id, o.customer, o.product, o.pieces * p.price AS value
        FROM orders AS o JOIN products AS p ON p.product = o.product
    """,
    "customer_totals": """
        -- key: customer
        SELECT v.customer, sum(v.value) AS total, count(*) AS order_count
        FROM order_values AS v GROUP BY v.customer
    """,
    "country_totals": """
        -- key: country
        SELECT c.country, sum(t.total) AS total
        FROM customer_totals AS t JOIN customers AS c ON c.customer = t.customer GROUP BY c.country
    """,
    "never_ordered": """
        -- key: product
        SELECT p.product, p.price FROM products AS p
        WHERE NOT EXISTS (SELECT 1 FROM orders AS o WHERE o.product = p.product)
    """,
    "best_customers": """
        -- key: customer
        SELECT t.customer, c.country, t.total, s.share
        FROM customer_totals AS t
        JOIN customers AS c ON c.customer = t.customer
        JOIN customer_shares AS s ON s.customer = t.customer
        WHERE s.share > 0.2
    """,
}


@codeintel.analysis(pa.schema({"customer": pa.int64(), "share": pa.float64()}))
def customer_shares(customer_totals: pa.Table) -> pa.Table:
    """Each customer's share of all sales, 0 to 1."""
    total = pc.sum(customer_totals["total"]).as_py() or 1.0
    return pa.table({"customer": customer_totals["customer"], "share": pc.divide(customer_totals["total"], total)})


def write_files(folder: Path) -> None:
    customers = pa.table({"customer": [1, 2, 3, 4], "country": ["NO", "IS", "NO", "FO"]}, CUSTOMERS)
    products = pa.table({"product": [1, 2, 3], "price": [10.0, 2.5, 99.0], "weight": [0.1, 2.0, 7.5]}, PRODUCTS)
    orders = pa.table(
        {
            "order_id": [1, 2, 3, 4, 5],
            "customer": [1, 2, 1, 3, 2],
            "product": [1, 2, 2, 1, 1],
            "pieces": [3, 10, 4, 1, 2],
        },
        ORDERS,
    )
    for name, table in {"customers": customers, "products": products, "orders": orders}.items():
        pq.write_table(table, folder / f"{name}.parquet")


def orders_pipeline(folder: Path) -> codeintel.Pipeline:
    def source(name: str, schema: pa.Schema, key: str) -> codeintel.Source:
        return codeintel.Source(codeintel.Table(schema, (key,)), folder / f"{name}.parquet")

    return codeintel.Pipeline(
        name="orders",
        sources={
            "customers": source("customers", CUSTOMERS, "customer"),
            "products": source("products", PRODUCTS, "product"),
            "orders": source("orders", ORDERS, "order_id"),
        },
        views=VIEWS,
        analyses={"customer_shares": customer_shares},
        published=frozenset({*VIEWS, "customer_shares"}),
    )


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_files(folder)
    result = codeintel.build_pipeline(orders_pipeline(folder), folder / "store")
    print(f"{result.status}: {result.tasks['ran']} tasks ran, tables {', '.join(result.tables)}")
    snapshot = codeintel.open(folder / "store")
    for row in snapshot.table("best_customers").to_pylist():
        print(row)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "orders-example"))
