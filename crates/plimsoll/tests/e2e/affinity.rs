//! What chooses a server by the value of an expression, or by a client's first bytes.

use crate::rig::Rig;

#[test]
fn equal_values_go_to_the_same_server() {
    let mut rig = Rig::new();
    let [a, b] = ["a", "b"].map(|name| rig.origin(name));
    rig.config(&format!(
        "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
         listen web\n    bind {{listen}}\n    balance hash req.hdr(x-user),lower\n    {}\n    {}\n",
        a.server_line(),
        b.server_line()
    ));
    let who = |user: &str| {
        let mut client = rig.client();
        client.send(format!(
            "GET / HTTP/1.1\r\nHost: x\r\nX-User: {user}\r\n\r\n"
        ));
        client.response().text()
    };
    let users: Vec<_> = (0..16).map(|number| format!("user-{number}")).collect();
    let first: Vec<_> = users.iter().map(|user| who(user)).collect();
    assert!(
        first.contains(&"a".to_owned()) && first.contains(&"b".to_owned()),
        "{first:?}"
    );
    let again: Vec<_> = users.iter().map(|user| who(&user.to_uppercase())).collect();
    assert_eq!(again, first);
}

#[test]
fn a_client_stays_with_the_server_it_has_a_connection_to() {
    for (option, expected) in [
        ("", ["a", "b", "a", "b"]),
        ("option prefer-last-server", ["a"; 4]),
    ] {
        let mut rig = Rig::new();
        let [a, b] = ["a", "b"].map(|name| rig.origin(name));
        rig.config(&format!(
            "defaults\n    mode http\n    timeout connect 20s\n    timeout client 1m\n    timeout server 1m\n\
             listen web\n    bind {{listen}}\n    balance roundrobin\n    http-reuse never\n    {option}\n    {}\n    {}\n",
            a.server_line(),
            b.server_line()
        ));
        let mut client = rig.client();
        let seen = [(); 4].map(|()| {
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
            client.response().text()
        });
        assert_eq!(seen, expected, "{option}");
    }
}
