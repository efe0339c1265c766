//! One URL, two clients, no password in sight.

use super::*;

fn parsed(text: &str) -> DatabaseUrl {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn urls_and_dsns_are_printed_alike_and_without_the_password() {
    let check = |text: &str, printed: &str| {
        let url = parsed(text);
        assert_eq!(url.to_string(), printed, "{text}");
        assert_eq!(format!("{url:?}"), format!("DatabaseUrl({printed})"));
        let again = parsed(&url.secret());
        assert!(again.same_database(&url), "{text}");
        assert_eq!(again.password, url.password, "{text}");
        assert_eq!(again.settings, url.settings, "{text}");
    };
    check("postgres://u:secret@h/d", "postgres://u:***@h:5432/d");
    check("postgresql://u@h:1/d", "postgres://u@h:1/d");
    check("postgres://u:p%40%3A%2Fw@h:1/d", "postgres://u:***@h:1/d");
    check("postgres://u@h:1/d?port=2", "postgres://u@h:2/d");
    check("postgres://u@[::1]:5/d%20x", "postgres://u@[::1]:5/d%20x");
    check("postgres://u@h", "postgres://u@h:5432/u");
    check("postgres://u@/d?host=/run/pg&port=7", "postgres://u@/d?host=/run/pg&port=7");
    check("postgres://u@%2Frun%2Fpg/d", "postgres://u@/d?host=/run/pg&port=5432");
    check("host=h user=u password='a b' dbname=d", "postgres://u:***@h:5432/d");
    check("host=/run/pg user=u dbname=d port=7", "postgres://u@/d?host=/run/pg&port=7");
    check("host=h hostaddr=10.0.0.1 user=u dbname=d", "postgres://u@h:5432/d?hostaddr=10.0.0.1");
    check(
        "postgres://u@h/d?connect_timeout=3&options=-c%20search_path%3Dtw&application_name=x&sslmode=prefer",
        "postgres://u@h:5432/d?options=-c%20search_path%3Dtw&application_name=x&connect_timeout=3&sslmode=prefer",
    );
    check("host=h user=u dbname=d sslmode=disable", "postgres://u@h:5432/d?sslmode=disable");
    check(
        "host=h user=u dbname=d sslmode='verify-ca' sslrootcert='/a b/c\\'a.pem'",
        "postgres://u@h:5432/d?sslmode=verify-ca&sslrootcert=/a%20b/c%27a.pem",
    );
    check(
        "postgres://u@h/d?sslrootcert=%2Fa%20b&sslmode=require&connect_timeout=1",
        "postgres://u@h:5432/d?connect_timeout=1&sslmode=require&sslrootcert=/a%20b",
    );
    check("postgres://u@h/d?sslrootcert=system", "postgres://u@h:5432/d?sslrootcert=system");
    check("postgres://u@h/d?sslrootcert=", "postgres://u@h:5432/d");
}

#[test]
fn a_mode_says_what_is_tried_and_what_is_looked_at() {
    use Channel::{Offered, Plain, Tls};
    let check = |options: &str, channels: &[Channel], verify: Verify| {
        let url = parsed(&format!("postgres://u@h/d?{options}"));
        assert_eq!((url.channels(), url.verify()), (channels, verify), "{options}");
        assert_eq!(parsed(&url.secret()).verify(), verify, "{options}");
        let socket = parsed(&format!("postgres://u@/d?host=/run/pg&{options}"));
        assert_eq!(socket.channels(), [Plain], "{options}");
    };
    check("", &[Offered, Plain], Verify::Nothing);
    check("sslmode=disable&sslrootcert=/x", &[Plain], Verify::Nothing);
    check("sslmode=allow", &[Plain, Tls], Verify::Nothing);
    check("sslmode=prefer&sslrootcert=/x", &[Offered, Plain], Verify::Nothing);
    check("sslmode=require", &[Tls], Verify::Nothing);
    check("sslmode=require&sslrootcert=/x", &[Tls], Verify::Chain);
    check("sslmode=verify-ca&sslrootcert=/x", &[Tls], Verify::Chain);
    check("sslmode=verify-full", &[Tls], Verify::ChainAndName);
    check("sslmode=verify-full&sslrootcert=/x", &[Tls], Verify::ChainAndName);
    check("sslrootcert=system", &[Tls], Verify::ChainAndName);
}

#[test]
fn the_name_of_a_certificate_is_the_hosts_also_beside_an_address() {
    let url = parsed("host=db.example hostaddr=10.0.0.1 user=u dbname=d");
    assert_eq!((url.server_name(), url.server().as_str()), ("db.example", "10.0.0.1"));
    assert_eq!(parsed(&url.secret()), parsed("postgres://u@db.example/d?hostaddr=10.0.0.1"));
    assert_eq!(parsed("postgres://u@h/d").server_name(), "h");
}

#[test]
fn a_printed_password_of_three_stars_is_still_a_password() {
    assert_eq!(parsed("postgres://u:***@h/d").password.as_deref(), Some("***"));
}

#[test]
fn both_clients_get_the_same() {
    let url = parsed("postgres://u:p%40w@h:7/d?options=-c%20a%3D1%20--b%3Dx%5C%20y%20-cc%3D3");
    let ours = url.config();
    let theirs = url.connect_options();
    assert_eq!((url.server().as_str(), url.port()), (theirs.get_host(), theirs.get_port()));
    assert_eq!(ours.get_user(), Some(theirs.get_username()));
    assert_eq!(ours.get_dbname(), theirs.get_database());
    assert_eq!(ours.get_password(), Some(b"p@w".as_slice()));
    assert_eq!(ours.get_options(), Some(r"-c a=1 --b=x\ y -cc=3"));
    assert_eq!(theirs.get_options(), Some(r"-c a=1 -c b=x\ y -c c=3"));
}

#[test]
fn a_socket_directory_reaches_both_clients() {
    let url = parsed("postgres://u@/d?host=/run/pg&port=7");
    assert_eq!(url.server(), &Server::Socket("/run/pg".to_owned()));
    assert_eq!(url.connect_options().get_host(), "/run/pg");
    assert!(!url.is_tcp());
}

#[test]
fn errors_name_the_problem_and_never_the_password() {
    let check = |text: &str, part: &str| {
        let error = text.parse::<DatabaseUrl>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains("secret") && !error.contains("hunter"), "{text}: {error}");
    };
    check("", "is empty");
    check("mysql://u:secret@h/d", "neither postgres:// nor postgresql://");
    check("tailwater", "neither a URL nor a list");
    check("postgres://u:secret", "invalid value for option `port`");
    check("postgres://u:sec@ret-secret@h/d", "two @");
    check("postgres://u:secret@h:port/d", "invalid value for option `port`");
    check("postgres://u:secret@h1,h2/d", "2 hosts");
    check("host=h password=hunter secret=2", "an option that is not known");
    check("host=h password=hunter secret", "neither a URL nor a list");
    check("postgres://u:secret@h/d?sslcrl=/x", "sslcrl is not supported");
    check("postgres://u:secret@h/d?sslmode=verify-ca", "verify-ca needs sslrootcert");
    check("host=h user=u sslmode='verify-ca' sslrootcert=system", "only sslmode=verify-full");
    check("postgres://u:secret@h/d?sslmode=require&sslrootcert=system", "only sslmode=verify-full");
    check("postgres://u:secret@h/d?sslrootcert=%2", "not percent-encoded");
    check("postgres://u:secret@h/d?channel_binding=require", "sqlx knows no channel binding");
    check("postgres://u:secret@h/d?sslmode=strict", "sslmode must be one of");
    check("postgres://u:secret@h/d?options=-B%203", "only settings");
    check("postgres://u:%ff@h/d", "not UTF-8");
}

#[test]
fn the_same_database_is_server_user_and_name() {
    let check = |one: &str, other: &str, same: bool| {
        let (one, other) = (parsed(one), parsed(other));
        assert_eq!(one.same_database(&other), same, "{one} {other}");
        assert_eq!(one.fingerprint() == other.fingerprint(), same, "{one} {other}");
    };
    check("postgres://u:a@h/d", "postgres://u:b@h:5432/d?connect_timeout=1", true);
    check("postgres://u@h/d", "host=h user=u dbname=d", true);
    check("postgres://u@h/d", "postgres://u@h/e", false);
    check("postgres://u@h/d", "postgres://v@h/d", false);
    check("postgres://u@h/d", "postgres://u@h:1/d", false);
    assert_eq!(parsed("postgres://u@h/d").with_database("e").to_string(), "postgres://u@h:5432/e");
}
