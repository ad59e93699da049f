//! The store of containers and images that Podman, Buildah and CRI-O share
//! (containers/storage): `<driver>-containers/containers.json`,
//! `<driver>-images/images.json`, and an image's configuration beside it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;

use super::{files, oci::fill, text::Bounded};
use crate::finding::Container;

#[derive(Deserialize)]
struct Listed {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    /// JSON within JSON.
    #[serde(default)]
    metadata: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Metadata {
    #[serde(default)]
    image_name: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Image {
    id: String,
    digest: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct ImageFile {
    config: Option<ImageConfig>,
}

#[derive(Deserialize)]
struct ImageConfig {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

/// Where a container stands in a store.
pub struct Store<'a> {
    /// `…/storage/overlay-containers`
    pub containers: &'a Path,
    /// The same below the run directory, for containers that do not outlive their end.
    pub volatile: Option<PathBuf>,
    /// Whose it is.
    pub owner: u32,
}

impl Store<'_> {
    /// Adds what the store tells of a container; gives its image's labels.
    pub fn describe(&self, container: &mut Container) -> BTreeMap<String, String> {
        let Some(listed) = self.listed(&container.id) else {
            return BTreeMap::new();
        };
        let metadata: Metadata = serde_json::from_str(&listed.metadata).unwrap_or_default();
        let name = metadata.name.some();
        fill(
            &mut container.name,
            name.or_else(|| listed.names.first()?.some()),
        );
        fill(&mut container.image, metadata.image_name.some());
        let Some((images, image)) = self.image(&listed.image) else {
            return BTreeMap::new();
        };
        let names = image.names.unwrap_or_default();
        fill(&mut container.image, names.first().and_then(Bounded::some));
        fill(
            &mut container.digest,
            image.digest.as_ref().and_then(Bounded::some),
        );
        let blob = format!("={}", STANDARD.encode(format!("sha256:{}", image.id)));
        let file: Option<ImageFile> = files::json(&images.join(&image.id).join(blob), self.owner);
        let config = file.and_then(|file| file.config);
        config.and_then(|config| config.labels).unwrap_or_default()
    }

    fn listed(&self, id: &str) -> Option<Listed> {
        let lists = [
            Some(self.containers.join("containers.json")),
            self.volatile
                .as_ref()
                .map(|folder| folder.join("volatile-containers.json")),
        ];
        lists.into_iter().flatten().find_map(|list| {
            let all: Vec<Listed> = files::json(&list, self.owner)?;
            all.into_iter().find(|listed| listed.id == id)
        })
    }

    fn image(&self, id: &str) -> Option<(PathBuf, Image)> {
        // An id is a folder's name below.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let name = self.containers.file_name()?.to_str()?;
        let driver = name.strip_suffix("-containers")?;
        let images = self.containers.with_file_name(format!("{driver}-images"));
        let all: Vec<Image> = files::json(&images.join("images.json"), self.owner)?;
        let image = all.into_iter().find(|image| image.id == id)?;
        Some((images, image))
    }
}
