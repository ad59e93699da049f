//! How a recording writes what has no own form in JSON: to the letter.
#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands fields on by reference"
)]

/// Sets of capabilities, hexadecimal.
pub mod sets {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use crate::caps::CapSet;

    pub fn serialize<S: Serializer>(set: &CapSet, serializer: S) -> Result<S::Ok, S::Error> {
        set.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CapSet, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Stamps, with every nanosecond: windows are measured between them.
pub mod nanos {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::time::Stamp;

    pub fn serialize<S: Serializer>(stamp: &Stamp, serializer: S) -> Result<S::Ok, S::Error> {
        stamp.0.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Stamp, D::Error> {
        u64::deserialize(deserializer).map(Stamp)
    }
}

/// Names that need not be text: a string where they are, their bytes where not.
pub mod names {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    pub enum Name {
        Text(String),
        Bytes(Vec<u8>),
    }

    impl Name {
        pub fn into_bytes(self) -> Vec<u8> {
            match self {
                Self::Text(text) => text.into_bytes(),
                Self::Bytes(bytes) => bytes,
            }
        }
    }

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.serialize(serializer),
            Err(_) => bytes.serialize(serializer),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        Name::deserialize(deserializer).map(Name::into_bytes)
    }
}

/// Words of the decisions, by their text.
pub mod words {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    use crate::words::Word;

    pub fn serialize<W: Word, S: Serializer>(word: &W, serializer: S) -> Result<S::Ok, S::Error> {
        word.text().serialize(serializer)
    }

    pub fn deserialize<'de, W: Word, D: Deserializer<'de>>(deserializer: D) -> Result<W, D::Error> {
        let text = String::deserialize(deserializer)?;
        let word = W::all().iter().copied().find(|word| word.text() == text);
        word.ok_or_else(|| D::Error::custom(format!("{text:?} is not a known value")))
    }
}
