use super::*;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Days, Decimal, Duration, Millis, Months, Schema};

/// Written by the library, read by us.
fn json(schema: &str, value: impl Into<Value>) -> String {
    let parsed = Schema::parse_str(schema).expect("a schema");
    let writer = GenericDatumWriter::builder(&parsed).build().expect("a writer");
    let data = writer.write_value_to_vec(value).expect("fits");
    plan(schema).json(&data, 1 << 20).expect("read")
}

fn plan(schema: &str) -> Plan {
    Plan::compile(schema, &[]).expect("compiled")
}

fn refused(schema: &str, data: &[u8]) -> (Code, String) {
    let fault = plan(schema).json(data, 1 << 20).expect_err("refused");
    let letter = fault.clone().into_dead_letter(None, data);
    (fault.code, letter.message)
}

#[test]
fn every_kind_of_value_is_written_with_all_its_digits() {
    let logical = |kind: &str, logical: &str| format!(r#"{{"type":"{kind}","logicalType":"{logical}"}}"#);
    let at = 1_466_377_215_250_i64;
    for (schema, value, expected) in [
        (r#""null""#.to_owned(), Value::Null, "null"),
        (r#""boolean""#.into(), Value::Boolean(true), "true"),
        (r#""int""#.into(), Value::Int(i32::MIN), "-2147483648"),
        (r#""long""#.into(), Value::Long(i64::MAX), "9223372036854775807"),
        (
            r#""long""#.into(),
            Value::Long(9_007_199_254_740_993),
            "9007199254740993",
        ),
        (r#""float""#.into(), Value::Float(0.1), "0.1"),
        (r#""double""#.into(), Value::Double(-0.35), "-0.35"),
        (r#""double""#.into(), Value::Double(f64::NAN), "\"NaN\""),
        (r#""float""#.into(), Value::Float(f32::NEG_INFINITY), "\"-Infinity\""),
        (
            r#""string""#.into(),
            Value::String("a \"b\"\n\u{1}🏀".into()),
            r#""a \"b\"\n\u0001🏀""#,
        ),
        (r#""bytes""#.into(), Value::Bytes(vec![0, 255, 7]), "\"AP8H\""),
        (
            r#"{"type":"fixed","name":"f","size":2}"#.into(),
            Value::Fixed(2, vec![1, 2]),
            "\"AQI=\"",
        ),
        (
            r#"{"type":"enum","name":"e","symbols":["A","B"]}"#.into(),
            Value::Enum(1, "B".into()),
            "\"B\"",
        ),
        (
            logical("long", "timestamp-millis"),
            Value::TimestampMillis(at),
            "\"2016-06-19T23:00:15.25Z\"",
        ),
        (
            logical("long", "timestamp-micros"),
            Value::TimestampMicros(at * 1_000 + 1),
            "\"2016-06-19T23:00:15.250001Z\"",
        ),
        (
            logical("long", "timestamp-nanos"),
            Value::TimestampNanos(at * 1_000_000),
            "\"2016-06-19T23:00:15.25Z\"",
        ),
        (
            logical("long", "local-timestamp-millis"),
            Value::LocalTimestampMillis(at),
            "\"2016-06-19T23:00:15.25\"",
        ),
        (
            logical("long", "timestamp-millis"),
            Value::TimestampMillis(i64::MAX),
            "9223372036854775807",
        ),
        (logical("int", "date"), Value::Date(16_971), "\"2016-06-19\""),
        (logical("int", "date"), Value::Date(-1), "\"1969-12-31\""),
        (logical("int", "time-millis"), Value::TimeMillis(7), "7"),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}"#.into(),
            Value::Decimal(Decimal::from(&[0xff, 0x85][..])),
            "-1.23",
        ),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":38,"scale":0}"#.into(),
            Value::Decimal(Decimal::from(i128::MAX.to_be_bytes())),
            "170141183460469231731687303715884105727",
        ),
        (
            r#"{"type":"fixed","name":"d","size":12,"logicalType":"duration"}"#.into(),
            Value::Duration(Duration::new(Months::new(1), Days::new(2), Millis::new(3))),
            r#"{"months":1,"days":2,"milliseconds":3}"#,
        ),
        (
            r#"{"type":"array","items":["null","long"]}"#.into(),
            Value::Array(vec![
                Value::Union(1, Box::new(Value::Long(1))),
                Value::Union(0, Box::new(Value::Null)),
            ]),
            "[1,null]",
        ),
        (
            r#"{"type":"map","values":"string"}"#.into(),
            Value::Map([("k".to_owned(), Value::String("v".into()))].into()),
            r#"{"k":"v"}"#,
        ),
    ] {
        assert_eq!(json(&schema, value), expected, "{schema}");
    }
}

#[test]
fn names_are_found_across_namespaces_files_and_themselves() {
    let tree = r#"{"type":"record","name":"Tree","namespace":"a.b","fields":[
        {"name":"kind","type":{"type":"enum","name":"Kind","symbols":["LEAF","NODE"]}},
        {"name":"again","type":"Kind"},
        {"name":"below","type":{"type":"array","items":"Tree"}}]}"#;
    let leaf = |n| {
        let kind = || Value::Enum(n, ["LEAF", "NODE"][n as usize].into());
        vec![("kind".to_owned(), kind()), ("again".to_owned(), kind())]
    };
    let with = |mut fields: Vec<(String, Value)>, below| {
        fields.push(("below".to_owned(), Value::Array(below)));
        Value::Record(fields)
    };
    let value = with(leaf(1), vec![with(leaf(0), vec![]), with(leaf(0), vec![])]);
    let small = r#"{"kind":"LEAF","again":"LEAF","below":[]}"#;
    assert_eq!(
        json(tree, value),
        format!(r#"{{"kind":"NODE","again":"NODE","below":[{small},{small}]}}"#)
    );

    let kind = r#"{"type":"enum","name":"Kind","namespace":"a","symbols":["X","Y"]}"#;
    let part = r#"{"type":"record","name":"Part","namespace":"a","fields":[{"name":"kind","type":"a.Kind"}]}"#;
    let whole = r#"{"type":"record","name":"Whole","namespace":"b","fields":[{"name":"part","type":"a.Part"},{"name":"n","type":"int"}]}"#;
    let plan = Plan::compile(whole, &[("a.Kind", kind), ("a.Part", part)]).expect("compiled");
    assert_eq!(plan.json(&[2, 4], 100).expect("read"), r#"{"part":{"kind":"Y"},"n":2}"#);
    let error = Plan::compile(whole, &[]).err().expect("nothing to refer to");
    assert!(error.contains("a.Part"), "{error}");
}

#[test]
fn what_does_not_fit_is_told_and_never_guessed() {
    let two = r#"{"type":"record","name":"r","fields":[{"name":"s","type":"string"},{"name":"b","type":"boolean"}]}"#;
    // "ab", true; the library reads every shorter one as well, with nulls.
    let good = [4, b'a', b'b', 1];
    assert_eq!(plan(two).json(&good, 100).expect("read"), r#"{"s":"ab","b":true}"#);
    for length in 0..good.len() {
        let (code, message) = refused(two, &good[..length]);
        assert_eq!(code, Code::SchemaMismatch);
        assert!(message.contains("ends too early"), "{message}");
    }
    for (schema, data, says) in [
        (two, &[4, b'a', b'b', 1, 9, 9][..], "2 bytes are left over"),
        (two, &[4, b'a', b'b', 2], "a boolean is 2"),
        (two, &[4, 0xff, 0xfe, 1], "not UTF-8"),
        (two, &[3, 1], "a length is -2"),
        (r#""int""#, &[0x80, 0x80, 0x80, 0x80, 0x10], "does not fit an int"),
        (r#""long""#, &[0xff; 12], "longer than 64 bits"),
        (r#"["null","long"]"#, &[4], "no branch 2"),
        (r#"{"type":"enum","name":"e","symbols":["A"]}"#, &[1], "no symbol -1"),
        (
            r#"{"type":"bytes","logicalType":"decimal","precision":60,"scale":0}"#,
            &[34; 18],
            "wider than 128 bits",
        ),
        // Ten million items that cost nothing: a bomb of five bytes.
        (
            r#"{"type":"array","items":"null"}"#,
            &[0x80, 0xda, 0xc4, 0x09, 0],
            "longer than",
        ),
    ] {
        let (code, message) = refused(schema, data);
        assert_eq!(code, Code::SchemaMismatch, "{schema}");
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn no_data_recurses_further_than_json_may() {
    let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
    let data = |depth: usize| [vec![2; depth], vec![0]].concat();
    assert!(plan(list).json(&data(60), 1 << 20).is_ok());
    assert_eq!(refused(list, &data(1_000_000)).0, Code::NestedTooDeep);
}

#[test]
fn blocks_may_say_how_long_they_are() {
    let longs = r#"{"type":"array","items":"long"}"#;
    // Two items in a block of two bytes, one in a block without its length, the end.
    assert_eq!(plan(longs).json(&[3, 4, 2, 4, 2, 6, 0], 100).expect("read"), "[1,2,3]");
    assert_eq!(
        refused(longs, &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0]).0,
        Code::SchemaMismatch
    );
}
