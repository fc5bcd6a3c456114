//! Reads S3's answers, which are XML: every text with the path that leads to it.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, Event};
use stead_schemas::failure::{Class, Failure};

/// Every element that holds text alone: `ListBucketResult/Contents/Key`, and the text.
///
/// # Errors
/// If it is no XML.
pub(super) fn leaves(bytes: &[u8]) -> Result<Vec<(String, String)>, Failure> {
    read(bytes).map_err(|error| {
        let words = "S3 answered in an unknown form; its version differs";
        Failure::new(Class::Permanent, words).vendor(error.to_string())
    })
}

fn read(bytes: &[u8]) -> Result<Vec<(String, String)>, quick_xml::Error> {
    let mut reader = Reader::from_reader(bytes);
    let (mut path, mut text, mut found) = (Vec::new(), String::new(), Vec::new());
    let mut is_leaf = false;
    loop {
        match reader.read_event()? {
            Event::Start(tag) => {
                path.push(String::from_utf8_lossy(tag.local_name().as_ref()).into_owned());
                text.clear();
                is_leaf = true;
            }
            Event::Text(more) => text.push_str(&more.decode()?),
            Event::GeneralRef(reference) => text.push_str(&resolved(&reference)?),
            Event::End(_) => {
                if is_leaf {
                    found.push((path.join("/"), std::mem::take(&mut text)));
                }
                path.pop();
                is_leaf = false;
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

/// `&amp;` and `&#38;` alike.
fn resolved(reference: &BytesRef<'_>) -> Result<String, quick_xml::Error> {
    if let Some(letter) = reference.resolve_char_ref()? {
        return Ok(letter.to_string());
    }
    let name = reference.decode()?;
    Ok(resolve_predefined_entity(&name).unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::leaves;

    #[test]
    fn every_text_is_found_with_its_path() {
        let xml = "<?xml version=\"1.0\"?><L xmlns=\"x\"><N>a&amp;b&#38;</N>\n <C><Key>k1</Key>\
                   <Size>1</Size></C><C><Key> k2 </Key></C><T/></L>";
        let found = leaves(xml.as_bytes()).unwrap();
        let found: Vec<_> =
            found.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let wanted = [("L/N", "a&b&"), ("L/C/Key", "k1"), ("L/C/Size", "1"), ("L/C/Key", " k2 ")];
        assert_eq!(found, wanted);
    }

    #[test]
    fn what_is_no_xml_is_named() {
        assert!(leaves(b"<a><b></a>").is_err());
    }
}
