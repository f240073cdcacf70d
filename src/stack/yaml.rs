//! Reads the files of `values/`.

use serde_json::Value;

use crate::stack::StackError;
use crate::yaml;

/// A file of `values/` as its type.
pub(super) fn parse<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, StackError> {
    serde_yaml::from_str(text).map_err(|source| StackError::Malformed { file: file.into(), source: source.into() })
}

/// A component's values, as `helm -f` reads the file.
pub(super) fn values(file: &str, text: &str) -> Result<Value, StackError> {
    let documents = yaml::documents(text);
    let documents = documents.map_err(|source| StackError::Malformed { file: file.into(), source: source.into() })?;
    Ok(documents.into_iter().next().unwrap_or_default())
}

/// Whether the value at a path, e.g. `alertmanager.enabled`, is `false`.
pub(super) fn is_false(values: &Value, path: &str) -> bool {
    path.split('.').try_fold(values, |value, key| value.get(key)) == Some(&Value::Bool(false))
}
