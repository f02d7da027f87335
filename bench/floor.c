/* What the kernel leaves to any relay: each client has a server connection of its own, and whatever comes on one goes out on
 * the other. Receive, send, receive, send: nothing is parsed, timed, balanced, retried, counted or kept. It stands beside the
 * proxies in bench/compare, which may spend on all of that what they cost beyond it. Only for messages that fit in a buffer of
 * the kernel's; whatever fails ends it.
 *
 *     floor LISTEN_PORT SERVER_PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { DESCRIPTORS_MAX = 1 << 16, EVENTS_MAX = 200, BUFFER_BYTES = 64 << 10 };

static int peer[DESCRIPTORS_MAX];
static char buffer[BUFFER_BYTES];
static int epoll;

static int check(int result, const char *what)
{
    if (result < 0) {
        perror(what);
        exit(1);
    }
    return result;
}

static struct sockaddr_in loopback(const char *port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void watch(int socket, unsigned events)
{
    struct epoll_event event = { .events = events, .data.fd = socket };
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, socket, &event), "epoll_ctl");
}

static void pair(int client, const struct sockaddr_in *origin)
{
    int one = 1, server = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
    check(setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "setsockopt");
    check(connect(server, (const struct sockaddr *)origin, sizeof *origin), "connect");
    check(fcntl(server, F_SETFL, O_NONBLOCK), "fcntl");
    peer[client] = server;
    peer[server] = client;
    watch(client, EPOLLIN | EPOLLRDHUP | EPOLLET);
    watch(server, EPOLLIN | EPOLLRDHUP | EPOLLET);
}

static void relay(int from, unsigned events)
{
    int to = peer[from];
    /* 0: the other one has ended both in this round. */
    ssize_t count = to ? recv(from, buffer, sizeof buffer, 0) : -1;
    if (count > 0)
        send(to, buffer, count, MSG_NOSIGNAL);
    if (count >= 0 && events & EPOLLRDHUP) {
        peer[from] = peer[to] = 0;
        close(from);
        close(to);
    }
}

int main(int count, char **words)
{
    if (count != 3) {
        fprintf(stderr, "usage: floor LISTEN_PORT SERVER_PORT\n");
        return 2;
    }
    int one = 1, listener = check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    struct sockaddr_in own = loopback(words[1]), origin = loopback(words[2]);
    check(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "setsockopt");
    /* Those that are accepted inherit it. */
    check(setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "setsockopt");
    check(bind(listener, (struct sockaddr *)&own, sizeof own), "bind");
    check(listen(listener, 8192), "listen");
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
                pair(client, &origin);
        }
    }
}
