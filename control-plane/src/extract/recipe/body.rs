//! [`PostBody`]: the body of a `post`, a form or JSON with templates.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderValue;
use pitwall_fetch::RequestBody as FetchBody;
use serde::Deserialize;
use url::form_urlencoded;

use super::template::Template;

pub(super) enum PostBody {
    Form(BTreeMap<String, Template>),
    Json(JsonTemplate),
}

/// JSON whose strings are templates.
#[derive(Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(super) enum JsonTemplate {
    Text(Template),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
    Other(serde_json::Value),
}

impl PostBody {
    pub(super) fn render(&self, variables: &BTreeMap<String, String>) -> Result<FetchBody, String> {
        match self {
            Self::Form(fields) => {
                let mut form = form_urlencoded::Serializer::new(String::new());
                for (name, value) in fields {
                    form.append_pair(name, &value.render(variables)?);
                }
                Ok(FetchBody {
                    content_type: HeaderValue::from_static("application/x-www-form-urlencoded"),
                    bytes: Bytes::from(form.finish()),
                })
            }
            Self::Json(json) => Ok(FetchBody {
                content_type: HeaderValue::from_static("application/json"),
                bytes: Bytes::from(json.render(variables)?.to_string()),
            }),
        }
    }

    pub(super) fn collect_templates<'a>(&'a self, into: &mut Vec<&'a Template>) {
        match self {
            Self::Form(fields) => into.extend(fields.values()),
            Self::Json(json) => json.collect_templates(into),
        }
    }
}

impl TryFrom<serde_json::Value> for JsonTemplate {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        use serde_json::Value;
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(&text)?),
            Value::Array(items) => {
                Self::Array(items.into_iter().map(Self::try_from).collect::<Result<_, _>>()?)
            }
            Value::Object(entries) => {
                let entry = |(key, value)| Ok((key, Self::try_from(value)?));
                Self::Object(entries.into_iter().map(entry).collect::<Result<_, String>>()?)
            }
            other => Self::Other(other),
        })
    }
}

impl JsonTemplate {
    fn render(&self, variables: &BTreeMap<String, String>) -> Result<serde_json::Value, String> {
        Ok(match self {
            Self::Text(template) => template.render(variables)?.into(),
            Self::Array(items) => {
                items.iter().map(|item| item.render(variables)).collect::<Result<_, _>>()?
            }
            Self::Object(entries) => {
                let entry =
                    |(key, value): &(String, Self)| Ok((key.clone(), value.render(variables)?));
                serde_json::Value::Object(entries.iter().map(entry).collect::<Result<_, String>>()?)
            }
            Self::Other(value) => value.clone(),
        })
    }

    fn collect_templates<'a>(&'a self, into: &mut Vec<&'a Template>) {
        match self {
            Self::Text(template) => into.push(template),
            Self::Array(items) => items.iter().for_each(|item| item.collect_templates(into)),
            Self::Object(entries) => {
                entries.iter().for_each(|(_, item)| item.collect_templates(into))
            }
            Self::Other(_) => {}
        }
    }
}
