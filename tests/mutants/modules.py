"""The modules that decide about rows, rights and removal, and the test files that are run for them.

The cheapest files are first; of a file, only the tests run that execute the changed line. Tests
with a database cost seconds each: they are named where nothing cheaper shows the difference.
"""

_TRANSFORM = (
    "unit/test_transform_values.py",
    "unit/test_transform_checks.py",
    "unit/test_transform_cells.py",
    "unit/test_transform_making.py",
    "unit/test_transform_rows.py",
    "unit/test_transform_absent.py",
    "unit/test_transform_tables.py",
    "unit/test_transform_quarantine.py",
    "unit/test_carried.py",
    "unit/test_transform_texts.py",
    "unit/test_star.py",
    "unit/test_etl_testing.py",
    "unit/test_etl_testing_files.py",
    "aws/test_transform_declared.py",
    "aws/test_transform.py",
    "aws/test_filling.py",
    "aws/test_quarantine.py",
)
_FILES = (
    "unit/test_transform_refusals.py",
    "aws/test_refused_rows.py",
    "aws/test_transform_files.py",
    "aws/test_files_refused.py",
    "aws/test_files_over_time.py",
)
_LOGS = (
    "unit/test_batchlog.py",
    "unit/test_chain.py",
    "unit/test_logs.py",
    "unit/test_longlists.py",
    "unit/test_function_settings.py",
    "unit/test_manifests.py",
    "unit/test_malformed_manifests.py",
    "unit/test_malformed_parquet.py",
    "unit/test_parquet.py",
    "aws/test_storage.py",
    "aws/test_uploads.py",
    "aws/test_malformed_batches.py",
)
_EXTRACT = (
    "unit/test_keysets.py",
    "unit/test_hashed_parts.py",
    "unit/test_hashedkeys.py",
    "unit/test_asked_keys.py",
    "unit/test_table_keys.py",
    "unit/test_unreported.py",
    "unit/test_survey.py",
    "unit/test_plan_tables.py",
    "unit/test_plan_parts.py",
    "unit/test_extract_changes.py",
    "unit/test_history.py",
)
_TARGETS = (
    "unit/test_target_standing.py",
    "unit/test_target_batches.py",
    "unit/test_target_states.py",
    "unit/test_catching_up.py",
    "unit/test_comparing.py",
    "unit/test_load_marking.py",
    "unit/test_load_again.py",
    "unit/test_load_sources.py",
)
_RECONCILE = (
    "unit/test_reconcile_tombstones.py",
    "unit/test_reconcile_tables.py",
    "unit/test_reconcile_files.py",
    "unit/test_many_files.py",
    "unit/test_reconcile_missed.py",
    "unit/test_reconcile_report.py",
    "unit/test_proof.py",
    "unit/test_reconcile_needs.py",
    "unit/test_text.py",
)
_RIGHTS = (
    "unit/test_policies.py",
    "unit/test_function_policies.py",
    "unit/test_resource_policies.py",
    "unit/test_key_policies.py",
    "unit/test_existing_secrets.py",
    "unit/test_logins.py",
    "unit/test_missed_settings.py",
    "unit/test_stripe_declaration.py",
    "unit/test_alarm_conditions.py",
    "unit/test_alarm_states.py",
    "unit/test_alert_specs.py",
)
_RESOURCES = (
    "aws/test_odd_answers.py",
    "aws/test_notifications.py",
    "aws/test_permissions.py",
    "aws/test_buckets.py",
    "aws/test_encryption.py",
)
_REMOVAL = (
    "unit/test_inventory.py",
    "unit/test_receipt.py",
    "unit/test_changes.py",
    "unit/test_waiting.py",
    "aws/test_removal_answers.py",
    "aws/test_teardown_command.py",
    "aws/test_teardown_meanwhile.py",
    "aws/test_teardown.py",
    "aws/test_odd_answers.py",
    "aws/test_private_network.py",
    "aws/test_networks.py",
    "aws/test_files_deployed.py",
)

_GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("functions/common", "batchlog manifests settings storage", _LOGS),
    ("functions/common", "loaded", ("unit/test_evidence.py", *_LOGS)),
    (
        "functions/common",
        "accounts carried keys",
        ("unit/test_keys.py", "unit/test_replay.py", *_TRANSFORM, *_FILES),
    ),
    (
        "functions/common",
        "copy",
        ("unit/test_copy_rows.py", "unit/test_copy_out.py", "pipeline/test_copy.py"),
    ),
    (
        "functions/transform",
        "absent cells checks filling lasting making quarantine refusals table texts values",
        (*_TRANSFORM, *_FILES),
    ),
    ("functions/transform", "sweep", ("unit/test_sweep_prefixes.py", "aws/test_sweep.py", *_FILES)),
    (
        "functions/extract",
        "replay replay_files",
        ("unit/test_replay.py", "aws/test_files_replay.py"),
    ),
    (
        "functions/receive",
        "requests signatures",
        ("unit/test_receive_requests.py", "unit/test_receive_signatures.py", "aws/test_receive.py"),
    ),
    (
        "functions/reconcile",
        "as_of comparison expect files handler manyfiles missed notices table tombstones",
        _RECONCILE,
    ),
    (
        "functions/sources/postgres",
        "hashedkeys history keysets storedkeys tablekeys unreported",
        _EXTRACT,
    ),
    ("functions/sources/postgres", "changes", (*_EXTRACT, "pipeline/test_changes.py")),
    ("functions/sources/postgres", "keysql", (*_EXTRACT, "pipeline/test_keysql.py")),
    (
        "functions/sources/postgres",
        "plan surveys",
        (*_EXTRACT, "unit/test_missing_parents.py", "pipeline/test_extract_keys.py"),
    ),
    ("functions/targets", "batch comparing deletions numbered refused standing states", _TARGETS),
    ("functions/load", "loading", _TARGETS),
    (
        "deployer/resources",
        "alarm_specs endpoint_alarms keys policies resource_policies secret_policies",
        _RIGHTS,
    ),
    (
        "deployer/resources",
        "deployer_policy",
        ("unit/test_deployer_policy.py", "unit/test_key_policies.py"),
    ),
    ("deployer", "inventory receipt teardown", _REMOVAL),
    (
        "deployer/aws",
        "changes lambda_permissions s3 s3_notifications",
        (
            *_RESOURCES,
            *_REMOVAL,
            "aws/test_deploy.py",
            "aws/test_repairs.py",
            "aws/test_organisations.py",
        ),
    ),
)

TESTS = {
    f"{folder}/{module}.py": tuple(f"tests/{name}" for name in tests)
    for folder, modules, tests in _GROUPS
    for module in modules.split()
}
MODULES = tuple(TESTS)
