//! JSON of others: values whose types nobody promised.
//!
//! A line of a transcript must not be lost because a field that nobody needs changed its type. So each field here
//! reads as anything at all, and says afterwards what it was; only text that is no JSON is an error.

use std::fmt;
use std::marker::PhantomData;

use event::Text;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A value that should be a single one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Scalar {
    /// Not there, or null.
    #[default]
    Absent,
    Flag(bool),
    Count(u64),
    Number(f64),
    Text(Text),
    /// An object or a list.
    Other,
}

impl Scalar {
    /// Its text, where it is one that says something.
    pub(crate) fn text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub(crate) fn is_text(&self, text: &str) -> bool {
        matches!(self, Self::Text(it) if it == text)
    }

    /// A count; absent is none, and what is no count is an error.
    pub(crate) fn count(&self) -> Result<Option<u64>, NoCount> {
        match self {
            Self::Absent => Ok(None),
            Self::Count(count) => Ok(Some(*count)),
            _ => Err(NoCount),
        }
    }

    /// An amount of money; what is none is as good as absent, for nothing is counted by it.
    pub(crate) fn amount(&self) -> Option<f64> {
        match self {
            Self::Count(count) => Some(*count as f64),
            Self::Number(number) if number.is_finite() && *number >= 0.0 => Some(*number),
            _ => None,
        }
    }
}

/// A value that should be a count and is something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoCount;

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Scalar, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<Scalar, E> {
        Ok(Scalar::Count(count))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(u64::try_from(number).map_or(Scalar::Other, Scalar::Count))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Scalar, E> {
        Ok(Scalar::Absent)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Scalar, A::Error> {
        ignore_map(map).map(|()| Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Scalar, A::Error> {
        ignore_list(list).map(|()| Scalar::Other)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

fn ignore_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

fn ignore_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// A value that should be an object; anything else is nothing.
#[derive(Clone, Debug)]
pub(crate) struct Object<T>(pub(crate) Option<T>);

impl<T> Default for Object<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// A value that should be a list of objects; what is none in it is left out, and anything else is an empty one.
#[derive(Clone, Debug)]
pub(crate) struct Objects<T>(pub(crate) Vec<T>);

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

macro_rules! nothing {
    ($($method:ident($value:ty)),*) => {
        $(fn $method<E: Error>(self, _: $value) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        })*

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Self::Value::default())
        }
    };
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    nothing!(visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str));

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(|it| Object(Some(it)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        ignore_list(list).map(|()| Object(None))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectsVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectsVisitor<T> {
    type Value = Objects<T>;

    nothing!(visit_bool(bool), visit_u64(u64), visit_i64(i64), visit_f64(f64), visit_str(&str));

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        ignore_map(map).map(|()| Objects(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut objects = Vec::new();
        while let Some(Object(object)) = list.next_element()? {
            objects.extend(object);
        }
        Ok(Objects(objects))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Objects<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectsVisitor(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(default)]
    struct Sample {
        one: Scalar,
        many: Objects<Sample>,
        inner: Object<Box<Sample>>,
    }

    #[test]
    fn a_value_of_another_type_is_told_and_no_error() {
        let check = |json: &str, expected: Scalar| {
            let line = format!(r#"{{"one":{json},"many":{json},"inner":{json}}}"#);
            let sample: Sample = serde_json::from_str(&line).expect(json);
            assert_eq!(sample.one, expected, "{json}");
        };
        check("null", Scalar::Absent);
        check("true", Scalar::Flag(true));
        check("7", Scalar::Count(7));
        check("-7", Scalar::Other);
        check("0.5", Scalar::Number(0.5));
        check(r#""a\n""#, Scalar::Text("a\n".into()));
        check(r#"{"one":{}}"#, Scalar::Other);
        check("[1,[2]]", Scalar::Other);
    }

    #[test]
    fn objects_are_found_among_anything() {
        let line = r#"{"many":[{"one":1},2,null,[3],{"one":"x"}],"inner":{"one":4}}"#;
        let sample: Sample = serde_json::from_str(line).unwrap();
        let found: Vec<&Scalar> = sample.many.0.iter().map(|it| &it.one).collect();
        assert_eq!(found, [&Scalar::Count(1), &Scalar::Text("x".into())]);
        assert_eq!(sample.inner.0.unwrap().one, Scalar::Count(4));
    }
}
