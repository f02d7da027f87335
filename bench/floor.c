/* What the kernel leaves to any relay: whatever comes on one connection goes out on another. Receive, send, receive, send: nothing
 * is parsed, timed, retried, counted or kept. It stands beside the proxies in bench/compare, which may spend on all of that what
 * they cost beyond it. Only for messages that one call takes and gives; whatever fails ends it.
 *
 *     floor LISTEN_PORT SERVER_PORT [SERVERS [LOG_PORT]]
 *
 * Each client has a server connection of its own, opened and closed with it. With more SERVERS than one, at 127.1.0.1 and behind,
 * each has one connection, and messages of clients go to one after the other. With a LOG_PORT, a datagram as long as a log line
 * follows each response.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    DESCRIPTORS_MAX = 1 << 16,
    SERVERS_MAX = 10000,
    EVENTS_MAX = 200,
    BUFFER_BYTES = 64 << 10,
    LOG_LINE_BYTES = 180,
    SERVERS_PER_NET = 250,
};

static int peer[DESCRIPTORS_MAX];
/* Whether a socket leads to a server. */
static char is_server[DESCRIPTORS_MAX];
static char buffer[BUFFER_BYTES];
static int epoll, server_port, servers = 1, next_server, shared[SERVERS_MAX], log_socket;
static struct sockaddr_in log_address;

static int check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static struct sockaddr_in address_of(in_addr_t host, int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
    address.sin_addr.s_addr = htonl(host);
    return address;
}

static void watch(int socket, unsigned events)
{
    struct epoll_event event = { .events = events, .data.fd = socket };
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event), "epoll_ctl");
}

static int open_server(in_addr_t host)
{
    struct sockaddr_in address = address_of(host, server_port);
    int one = 1, server = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
    check(setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "setsockopt");
    check(connect(server, (const struct sockaddr *)&address, sizeof address), "connect");
    check(fcntl(server, F_SETFL, O_NONBLOCK), "fcntl");
    is_server[server] = 1;
    watch(server, EPOLLIN | EPOLLRDHUP | EPOLLET);
    return server;
}

static void pair(int client, int server)
{
    peer[client] = server;
    peer[server] = client;
}

static void welcome(int client)
{
    is_server[client] = 0;
    if (servers == 1)
        pair(client, open_server(INADDR_LOOPBACK));
    watch(client, EPOLLIN | EPOLLRDHUP | EPOLLET);
}

/* The server whose turn it is. */
static int rotate(void)
{
    int index = next_server++ % servers;
    if (!shared[index])
        shared[index] = open_server(0x7f010000 + (index / SERVERS_PER_NET << 8) + index % SERVERS_PER_NET + 1);
    return shared[index];
}

/* A server that has ended ends its client; one that is shared outlives its clients. */
static void end(int from)
{
    int to = peer[from];
    peer[from] = 0;
    if (to && peer[to] == from)
        peer[to] = 0;
    for (int index = 0; servers > 1 && is_server[from] && index < servers; index++)
        if (shared[index] == from)
            shared[index] = 0;
    close(from);
    if (to && (servers == 1 || is_server[from]))
        close(to);
}

static void relay(int from, unsigned events)
{
    /* 0: the other one has ended both in this round. */
    if (servers == 1 && !peer[from])
        return;
    ssize_t count = recv(from, buffer, sizeof buffer, 0);
    if (count > 0 && servers > 1 && !is_server[from])
        pair(from, rotate());
    if (count > 0 && peer[from]) {
        send(peer[from], buffer, count, MSG_NOSIGNAL);
        if (log_socket && is_server[from])
            sendto(log_socket, buffer, LOG_LINE_BYTES, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&log_address,
                   sizeof log_address);
    }
    if (count >= 0 && events & EPOLLRDHUP)
        end(from);
}

static int listen_on(int port)
{
    int one = 1, listener = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    struct sockaddr_in own = address_of(INADDR_LOOPBACK, port);
    check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "setsockopt");
    /* Those that are accepted inherit it. */
    check(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "setsockopt");
    check(bind(listener, (struct sockaddr *)&own, sizeof own), "bind");
    check(listen(listener, 8192), "listen");
    return listener;
}

int main(int count, char **words)
{
    if (count < 3 || count > 5) {
        fprintf(stderr, "usage: floor LISTEN_PORT SERVER_PORT [SERVERS [LOG_PORT]]\n");
        return 2;
    }
    server_port = atoi(words[2]);
    if (count > 3)
        servers = atoi(words[3]);
    if (servers < 1 || servers > SERVERS_MAX) {
        fprintf(stderr, "floor: SERVERS must be from 1 to %d\n", SERVERS_MAX);
        return 2;
    }
    if (count > 4) {
        log_socket = check(socket(AF_INET, SOCK_DGRAM, 0), "socket");
        log_address = address_of(INADDR_LOOPBACK, atoi(words[4]));
    }
    int listener = listen_on(atoi(words[1]));
    epoll = check(epoll_create1(0), "epoll_create1");
    watch(listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[EVENTS_MAX];
        /* Less than 0: a tracer has come or gone. */
        int ready = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int index = 0; index < ready; index++) {
            int socket = events[index].data.fd, client;
            if (socket != listener) {
                relay(socket, events[index].events);
                continue;
            }
            while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
                welcome(client);
        }
    }
}
