// Load for a Tickwire server: N players who send an input every 50 ms, acknowledge what they were sent, and decode
// nothing else. One core drives several thousand; the bots of gamebots, which could do more, end near a thousand.
//
//     cc -O2 -o load load.c && ./load PORT PATH CLIENTS SECONDS
//
// Prints a line of JSON. Masks are zero, as those of the rivals' load are. Linux.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PERIOD_US = 50000, HEAD = 16, BUFFER = 1 << 16 };

typedef struct {
  int fd;
  uint32_t sequence, acknowledged;
  uint64_t left;         // payload bytes of the frame that are still to come
  uint8_t head[HEAD];    // WebSocket header, then the first bytes of the payload
  int head_bytes, header_bytes;
  uint64_t payload;
} Client;

static uint64_t now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int join(int port, const char *path) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) fail("connect");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char text[1024];
  int size = snprintf(text, sizeof text,
                      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                      "Sec-WebSocket-Protocol: tickwire.1\r\n\r\n",
                      path, port);
  if (write(fd, text, size) != size) fail("write");
  for (int have = 0; have < 4 || memcmp(text + have - 4, "\r\n\r\n", 4);) {  // byte by byte: nothing behind it is read
    if (have == sizeof text || read(fd, text + have, 1) != 1) fail("upgrade");
    have++;
  }
  static const uint8_t hello[] = {0x82, 0x83, 0, 0, 0, 0, 0x92, 0x01, 0x80};  // [1, {}]
  if (write(fd, hello, sizeof hello) != sizeof hello) fail("hello");
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

static void put32(uint8_t *at, uint32_t value) {
  value = htonl(value);
  memcpy(at, &value, 4);
}

// [4, [sequence, 0, acknowledged, clock], [up, down, left, right, aim]]
static int send_input(Client *client, int salt) {
  uint8_t frame[39] = {0x82, 0x80 | 33, 0, 0, 0, 0, 0x93, 0x04, 0x94, 0xce};
  uint32_t keys = (++client->sequence >> 4) + salt;
  put32(frame + 10, client->sequence);
  frame[14] = 0, frame[15] = 0xce, put32(frame + 16, client->acknowledged);
  frame[20] = 0xce, put32(frame + 21, (uint32_t)now_us());
  frame[25] = 0x95;
  for (int bit = 0; bit < 4; bit++) frame[26 + bit] = keys >> bit & 1 ? 0xc3 : 0xc2;
  double turn = client->sequence * 0.05 + salt, aim = turn / 3.141592653589793;
  aim -= 2 * (int64_t)(aim / 2) + 1;
  uint64_t bits;
  memcpy(&bits, &aim, 8);
  frame[30] = 0xcb, put32(frame + 31, bits >> 32), put32(frame + 35, (uint32_t)bits);
  return send(client->fd, frame, sizeof frame, MSG_NOSIGNAL) == sizeof frame;
}

static int frame_is_done(Client *client) {  // 1 when it brought a state
  const uint8_t *at = client->head + client->header_bytes;
  int have = client->head_bytes - client->header_bytes, skip = have && at[0] >> 4 == 9 ? 1 : 3;
  client->head_bytes = 0;
  if (have < skip + 7 || at[skip] != 3) return 0;
  uint32_t tick;
  memcpy(&tick, at + skip + 3, 4);
  client->acknowledged = ntohl(tick);
  return 1;
}

static int take(Client *client, const uint8_t *data, size_t size) {  // how many states it holds the end of
  int states = 0;
  while (size) {
    if (!client->left) {  // in the header, or in the first bytes of the payload
      client->head[client->head_bytes++] = *data++, size--;
      int length = client->head_bytes > 1 ? client->head[1] & 127 : 0;
      client->header_bytes = 2 + (length == 126 ? 2 : length == 127 ? 8 : 0);
      if (client->head_bytes < client->header_bytes) continue;
      if (client->head_bytes == client->header_bytes) {
        client->payload = length;
        if (length > 125) client->payload = 0;
        for (int i = 2; i < client->header_bytes; i++) client->payload = client->payload << 8 | client->head[i];
      }
      uint64_t begun = client->head_bytes - client->header_bytes;
      if (begun == client->payload) states += frame_is_done(client);
      else if (client->head_bytes == HEAD) client->left = client->payload - begun;
      continue;
    }
    size_t some = size < client->left ? size : client->left;
    data += some, size -= some, client->left -= some;
    if (!client->left) states += frame_is_done(client);
  }
  return states;
}

int main(int count, char **words) {
  if (count != 5) return fprintf(stderr, "usage: load PORT PATH CLIENTS SECONDS\n"), 2;
  int port = atoi(words[1]), clients = atoi(words[3]);
  Client *all = calloc(clients, sizeof *all);
  static uint8_t buffer[BUFFER];
  struct epoll_event events[256];
  int poll = epoll_create1(0);
  for (int i = 0; i < clients; i++) {
    all[i].fd = join(port, words[2]);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(poll, EPOLL_CTL_ADD, all[i].fd, &event);
  }
  uint64_t start = now_us(), end = start + (uint64_t)(atof(words[4]) * 1e6), sent = 0, states = 0, closed = 0;
  for (uint64_t due = 0, now; (now = now_us()) < end;) {
    for (; due * PERIOD_US / clients <= now - start; due++) {  // spread evenly over the period
      Client *client = all + due % clients;
      if (client->fd >= 0 && send_input(client, due % clients)) sent++;
    }
    int ready = epoll_wait(poll, events, 256, 1);
    for (int i = 0; i < ready; i++) {
      Client *client = all + events[i].data.u32;
      ssize_t got = recv(client->fd, buffer, BUFFER, 0);
      if (got > 0) states += take(client, buffer, got);
      else if (got == 0 || errno != EAGAIN) close(client->fd), client->fd = -1, closed++;
    }
  }
  printf("{\"inputs\": %llu, \"frames\": %llu, \"closed\": %llu}\n", (unsigned long long)sent, (unsigned long long)states,
         (unsigned long long)closed);
}
