//! An HTTP/1 server that does what its path says.
use std::{io, net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};

const OK: usize = 2 << 10;
const BIG: usize = 256 << 10;

/// On every address of the loopback network, so that calls of many origins do not use up the ports of one.
pub(super) async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("0.0.0.0:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                // a client that leaves ends its connection
                Ok((stream, _)) => drop(tokio::spawn(async move { drop(serve(stream).await) })),
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    });
    Ok(address)
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut read = Vec::with_capacity(1024);
    loop {
        let Some(end) = head(&mut stream, &mut read).await? else { return Ok(()) };
        let request = String::from_utf8_lossy(&read[..end]).into_owned();
        let length = end + content_length(&request);
        while read.len() < length {
            if stream.read_buf(&mut read).await? == 0 {
                return Ok(());
            }
        }
        read.drain(..length);
        let path = request.split(' ').nth(1).unwrap_or("/");
        match path.trim_start_matches("/") {
            "big" => respond(&mut stream, "200 OK", "", BIG, BIG).await?,
            "fail" => respond(&mut stream, "503 Service Unavailable", "", 64, 64).await?,
            "missing" => respond(&mut stream, "404 Not Found", "", 64, 64).await?,
            "redirect" => respond(&mut stream, "302 Found", "location: /ok\r\n", 0, 0).await?,
            "cut" => return respond(&mut stream, "200 OK", "", BIG, BIG / 4).await,
            "reset" => return Ok(()),
            "slow" => {
                sleep(Duration::from_millis(fastrand::u64(50..500))).await;
                respond(&mut stream, "200 OK", "", OK, OK).await?;
            }
            _ => respond(&mut stream, "200 OK", "", OK, OK).await?,
        }
    }
}

/// Reads until a head is whole and returns its length; `None` if the client has left.
async fn head(stream: &mut TcpStream, read: &mut Vec<u8>) -> io::Result<Option<usize>> {
    loop {
        if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(Some(at + 4));
        }
        if stream.read_buf(read).await? == 0 {
            return Ok(None);
        }
    }
}

fn content_length(head: &str) -> usize {
    let lower = head.to_ascii_lowercase();
    let value = lower.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

/// Promises a body of `length` bytes and sends the first `sent` of them.
async fn respond(stream: &mut TcpStream, status: &str, more: &str, length: usize, sent: usize) -> io::Result<()> {
    let head = format!("HTTP/1.1 {status}\r\n{more}content-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let block = [b'x'; 8 << 10];
    let mut left = sent;
    while left > 0 {
        let now = left.min(block.len());
        stream.write_all(&block[..now]).await?;
        left -= now;
    }
    Ok(())
}
