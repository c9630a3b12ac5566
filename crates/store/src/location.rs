//! Where a table lies: a folder, or a URL of an object store.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::prefix::PrefixStore;
use url::Url;

use crate::durable::DurableLocal;
use crate::error::{Error, Result};

/// A place that holds one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    url: Url,
    options: Vec<(String, String)>,
}

impl Location {
    /// Understands a folder (`data/events`), a `file://` URL, or an object store's URL
    /// (`s3://bucket/path`; needs the cargo feature `aws`, `azure` or `gcp`). Touches nothing.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |reason: String| Error::Location {
            location: text.into(),
            reason,
        };
        let url = match text.split_once("://") {
            Some(_) => Url::parse(text).map_err(|e| refused(e.to_string()))?,
            None => {
                let path = std::path::absolute(text).map_err(|e| refused(e.to_string()))?;
                Url::from_directory_path(path).map_err(|()| refused("not a usable path".into()))?
            }
        };
        Ok(Location {
            url,
            options: Vec::new(),
        })
    }

    /// The same place with an option of its object store (`aws_region`, `aws_endpoint`, …).
    pub fn with_option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    /// The folder, if the place is one on this machine.
    pub fn folder(&self) -> Option<PathBuf> {
        (self.url.scheme() == "file")
            .then(|| self.url.to_file_path().ok())
            .flatten()
    }

    /// The object store whose root is this place. Makes a missing folder.
    pub(crate) fn object_store(&self) -> Result<Arc<dyn ObjectStore>> {
        if let Some(folder) = self.folder() {
            return Ok(Arc::new(DurableLocal::create(&folder)?));
        }
        let (store, path) = object_store::parse_url_opts(&self.url, self.options.iter().cloned())
            .map_err(|e| Error::Location {
            location: self.to_string(),
            reason: format!("{e} (cloud storage needs a build with its feature)"),
        })?;
        Ok(Arc::new(PrefixStore::new(store, path)))
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.folder() {
            Some(folder) => write!(f, "{}", folder.display()),
            None => {
                let mut url = self.url.clone();
                let hidden = url.set_password(None).and_then(|()| url.set_username(""));
                f.write_str(if hidden.is_ok() {
                    url.as_str()
                } else {
                    self.url.scheme()
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_and_its_url_are_the_same_place() {
        let folder = Location::parse("/tmp/a b").unwrap();
        assert_eq!(folder.folder().unwrap(), PathBuf::from("/tmp/a b/"));
        assert_eq!(Location::parse("file:///tmp/a%20b/").unwrap(), folder);
        assert!(
            Location::parse("relative")
                .unwrap()
                .folder()
                .unwrap()
                .is_absolute()
        );
    }

    #[test]
    fn a_bucket_is_no_folder_and_a_strange_scheme_is_refused_with_its_reason() {
        assert_eq!(Location::parse("s3://bucket/path").unwrap().folder(), None);
        let strange = Location::parse("gopher://x/y").unwrap().object_store();
        assert!(matches!(strange, Err(Error::Location { .. })));
    }
}
