#!/usr/bin/env bash
# One role and its databases for each service, made once, when the PostgreSQL data folder is new.
# Names of the passwords: infra/.env.example. psql finds the server by PGHOST, PGPORT and PGPASSWORD.
set -euo pipefail
psql --username "$POSTGRES_USER" --dbname postgres --no-psqlrc --quiet --set ON_ERROR_STOP=1 <<'SQL'
\getenv mlflow MLFLOW_PGPASSWORD
\getenv prefect PREFECT_PGPASSWORD
\getenv optuna OPTUNA_PGPASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE ROLE prefect LOGIN PASSWORD :'prefect';
CREATE ROLE optuna LOGIN PASSWORD :'optuna';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE mlflow_auth OWNER mlflow;
CREATE DATABASE prefect OWNER prefect;
CREATE DATABASE optuna OWNER optuna;
REVOKE CONNECT, TEMPORARY ON DATABASE mlflow, mlflow_auth, prefect, optuna, postgres FROM PUBLIC;
SQL
