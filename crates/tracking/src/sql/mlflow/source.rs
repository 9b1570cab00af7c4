//! A database of MLflow's own: opened, and known by its schema.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::super::connection::{Connection, Dialect};
use super::super::failure::Failure;
use super::tables::{Table, tables};
use crate::error::TrackingError;
use crate::uri::{StoreOptions, StoreUri, without_password};
use crate::{postgres, sqlite};

/// The states of MLflow's schema that are known, in order: from MLflow 2.22 to MLflow 3.17. Each is the name of the last
/// change to the schema that was done, as the table `alembic_version` holds it.
pub(super) const REVISIONS: &[&str] = &[
    "0584bdc529eb", // MLflow 2.22
    "400f98739977",
    "6953534de441",
    "bda7b8c39065",
    "cbc13b556ace",
    "770bee3ae1dd",
    "a1b2c3d4e5f6",
    "de4033877273",
    "1a0cddfcaa16",
    "534353b11cbc",
    "71994744cf8e",
    "3da73c924c2f",
    "bf29a5ff90ea",
    "1bd49d398cd23",
    "b7c8d9e0f1a2",
    "5d2d30f0abce",
    "c9d4e5f6a7b8",
    "2c33131f4dae",
    "d3e4f5a6b7c8",
    "d0e1f2a3b4c5",
    "c8d9e0f1a2b3",
    "1b5f0d9ad7c1",
    "e1f2a3b4c5d6",
    "76601a5f987d",
    "c3d6457b6d8a",
    "a5b4c3d2e1f0",
    "ae8bbe7743c9",
    "7d34483879f0",
    "da6fb0208061",
    "89d3d66ed43f",
    "b7e4c1a90f23",
    "a8b9c0d1e2f3",
    "c1d2e3f4a5b6",
    "c3d9e7f1a2b4",
    "6f8d9c3b2a1e",
    "1971f2d9a75b",
    "17e22815139b",
    "b7e2c1a4d9f3",
    "75868b020152",
    "dc11669786a5", // MLflow 3.17
];

/// What MLflow keeps besides, and we do not: told by its count, where there is any.
const NOT_KEPT: &[(&str, &str)] = &[
    ("traces", "trace_info"),
    ("webhooks", "webhooks"),
    ("evaluation data sets", "evaluation_datasets"),
    ("scorers", "scorers"),
    ("prompts' and gateway's secrets", "secrets"),
    ("gateway endpoints", "endpoints"),
    ("jobs", "jobs"),
    ("issues", "issues"),
    ("MCP servers", "mcp_servers"),
];

/// A database of MLflow's, wherever it is.
pub(super) enum Foreign {
    Sqlite(sqlite::Foreign),
    Postgres(postgres::Foreign),
}

impl Foreign {
    pub fn open(uri: &str, writing: bool, options: &StoreOptions) -> Result<Self, TrackingError> {
        match uri.parse()? {
            StoreUri::Sqlite(path) => Ok(Self::Sqlite(sqlite::Foreign::open(&absolute(&path)?, writing, options)?)),
            StoreUri::Postgres(uri) => Ok(Self::Postgres(postgres::Foreign::open(&uri)?)),
            StoreUri::Http(_) => Err(TrackingError::Uri {
                uri: without_password(uri),
                why: "a server's database itself is needed, not the server: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
                    .into(),
            }),
        }
    }

    pub fn name(&self) -> String {
        match self {
            Self::Sqlite(database) => database.name(),
            Self::Postgres(database) => database.name(),
        }
    }

    /// Where relative paths in it start: beside the file, as far as anybody knows.
    pub fn folder(&self) -> PathBuf {
        match self {
            Self::Sqlite(database) => Path::new(&database.name()).parent().unwrap_or(Path::new("/")).to_path_buf(),
            Self::Postgres(_) => std::path::absolute(".").unwrap_or_else(|_| PathBuf::from("/")),
        }
    }

    pub fn transaction<T>(
        &mut self,
        doing: &str,
        writing: bool,
        work: impl FnOnce(&mut dyn Connection) -> Result<T, Failure>,
    ) -> Result<T, TrackingError> {
        match self {
            Self::Sqlite(database) => database.transaction(doing, writing, work),
            Self::Postgres(database) => database.transaction(doing, writing, work),
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, TrackingError> {
    std::path::absolute(path).map_err(|error| TrackingError::io("finding the folder of", path, error))
}

/// What a database of MLflow's has.
#[derive(Debug)]
pub(super) struct Schema {
    pub revision: String,
    /// Columns by table.
    columns: HashMap<String, HashSet<String>>,
}

impl Schema {
    /// # Errors
    /// A database that is not MLflow's, or in a state that is not known.
    pub fn of(connection: &mut dyn Connection, database: &str) -> Result<Self, Failure> {
        let columns = columns(connection)?;
        let refuse = |why: String| Err(TrackingError::NotMlflow { database: database.into(), why }.into());
        if !columns.contains_key("alembic_version") || !columns.contains_key("experiments") || !columns.contains_key("runs") {
            let ours = columns.keys().any(|table| table.starts_with("anmok_"));
            return refuse(if ours {
                "it is Anmok's own; copy the file, or use it as it is".into()
            } else {
                "it lacks the tables alembic_version, experiments and runs".into()
            });
        }
        let revisions = connection.all("SELECT version_num FROM alembic_version", &[], |row| row.string(0))?;
        let [revision] = revisions.as_slice() else {
            return refuse(format!("its table alembic_version holds {} revisions instead of one", revisions.len()));
        };
        if !REVISIONS.contains(&revision.as_str()) {
            return refuse(format!(
                "its schema has the revision {revision:?}, which is none of those of MLflow 2.22 to 3.17; bring it to one with \
                 `mlflow db upgrade` of such an MLflow, or update anmok"
            ));
        }
        let schema = Self { revision: revision.clone(), columns };
        match tables().filter(|table| schema.is_since_2(table)).find(|table| !schema.has(table.requires, None)) {
            Some(table) => refuse(format!("it lacks the table {}", table.requires)),
            None => Ok(schema),
        }
    }

    /// Whether MLflow 2.22 has the table.
    fn is_since_2(&self, table: &Table) -> bool {
        !table.requires.starts_with("logged_model")
    }

    pub fn has(&self, table: &str, column: Option<&str>) -> bool {
        self.columns.get(table).is_some_and(|columns| column.is_none_or(|column| columns.contains(column)))
    }

    pub fn has_workspaces(&self) -> bool {
        self.has("experiments", Some("workspace"))
    }

    /// The tables that it has, of those that are copied.
    pub fn tables(&self) -> impl Iterator<Item = &'static Table> {
        tables().filter(|table| self.has(table.requires, None))
    }

    /// What is in it and is not copied.
    pub fn not_kept(&self, connection: &mut dyn Connection) -> Result<Vec<(String, u64)>, Failure> {
        let mut left = vec![];
        let mut count = |connection: &mut dyn Connection, what: &str, from: &str| -> Result<(), Failure> {
            let rows = connection.first(&format!("SELECT count(*) FROM {from}"), &[], |row| row.integer(0))?;
            if let Some(rows) = rows.and_then(|rows| u64::try_from(rows).ok()).filter(|rows| *rows > 0) {
                left.push((what.to_string(), rows));
            }
            Ok(())
        };
        for (what, table) in NOT_KEPT {
            if self.has(table, None) {
                count(connection, what, table)?;
            }
        }
        if self.has_workspaces() {
            for table in ["experiments", "registered_models"] {
                count(connection, &format!("{table} of other workspaces"), &format!("{table} WHERE workspace <> 'default'"))?;
            }
        }
        count(connection, "status messages of model versions", "model_versions WHERE status_message <> ''")?;
        if self.has("logged_models", None) {
            count(connection, "status messages of logged models", "logged_models WHERE status_message <> ''")?;
        }
        Ok(left)
    }
}

fn columns(connection: &mut dyn Connection) -> Result<HashMap<String, HashSet<String>>, Failure> {
    let sql = match connection.dialect() {
        Dialect::Sqlite => "SELECT m.name, p.name FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table'",
        Dialect::Postgres => {
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns
             WHERE table_schema = current_schema()"
        }
    };
    let mut columns: HashMap<String, HashSet<String>> = HashMap::new();
    connection.query(sql, &[], &mut |row| {
        columns.entry(row.string(0)?).or_default().insert(row.string(1)?);
        Ok(())
    })?;
    Ok(columns)
}
