//! A request over a connection that is kept open.

use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// One request and its whole answer, which must be good.
pub async fn exchange(stream: &mut BufReader<TcpStream>, addr: SocketAddr, target: &str) -> std::io::Result<()> {
    let request = format!("GET {target} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    stream.get_mut().write_all(request.as_bytes()).await?;
    let (mut length, mut line, mut first) = (0, String::new(), true);
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        if std::mem::take(&mut first) && !line.starts_with("HTTP/1.1 200") {
            return Err(std::io::Error::other(format!("{target}: {line}")));
        }
        if line == "\r\n" {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(std::io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map(drop)
}
