import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import javax.net.ssl.SSLContext;
import org.apache.http.client.methods.CloseableHttpResponse;
import org.apache.http.client.methods.HttpPost;
import org.apache.http.config.RegistryBuilder;
import org.apache.http.conn.socket.ConnectionSocketFactory;
import org.apache.http.conn.socket.PlainConnectionSocketFactory;
import org.apache.http.conn.ssl.NoopHostnameVerifier;
import org.apache.http.conn.ssl.SSLConnectionSocketFactory;
import org.apache.http.entity.ContentType;
import org.apache.http.entity.StringEntity;
import org.apache.http.impl.client.CloseableHttpClient;
import org.apache.http.impl.client.HttpClients;
import org.apache.http.impl.conn.ManagedHttpClientConnectionFactory;
import org.apache.http.impl.conn.PoolingHttpClientConnectionManager;
import org.apache.http.ssl.SSLContexts;
import org.apache.http.util.EntityUtils;

/** Posts with Apache HttpClient 4.5, one client for all threads: see README.md. */
public class Apache {
    static final ContentType TYPE = ContentType.create("application/x-www-form-urlencoded");
    static final AtomicInteger sent = new AtomicInteger(), ok = new AtomicInteger(), connections = new AtomicInteger();
    static final Map<String, Integer> other = new TreeMap<>(), failed = new TreeMap<>();

    static CloseableHttpClient client(int threads) throws Exception {
        // The certificate of a test is signed by nobody.
        SSLContext ssl = SSLContexts.custom().loadTrustMaterial(null, (chain, kind) -> true).build();
        RegistryBuilder<ConnectionSocketFactory> sockets = RegistryBuilder.create();
        sockets.register("http", PlainConnectionSocketFactory.INSTANCE);
        sockets.register("https", new SSLConnectionSocketFactory(ssl, NoopHostnameVerifier.INSTANCE));
        // The pool asks for one only to open it.
        PoolingHttpClientConnectionManager pool = new PoolingHttpClientConnectionManager(sockets.build(),
            (route, config) -> {
                connections.incrementAndGet();
                return ManagedHttpClientConnectionFactory.INSTANCE.create(route, config);
            });
        pool.setMaxTotal(threads);
        pool.setDefaultMaxPerRoute(threads);
        return HttpClients.custom().setConnectionManager(pool).build();
    }

    static String body(String name) {
        String address = name + "@example.jp";
        String event = "{\"deliveries\":[{\"created\":\"2026-01-25 14:03:06\",\"returnPath\":\"info@example.com\","
            + "\"from\":\"info@example.com\",\"to\":\"" + address + "\",\"messageId\":\"<" + address + ">\","
            + "\"reason\":\"\",\"senderIp\":\"\",\"sourceIp\":\"192.0.2.1\",\"status\":\"queued\","
            + "\"subject\":\"Hello, world\",\"apiData\":\"\"}]}";
        return "server_composition=pro&event_type=deliveries&event=" + URLEncoder.encode(event, StandardCharsets.UTF_8);
    }

    static void count(Map<String, Integer> of, String key) {
        synchronized (of) {
            of.merge(key, 1, Integer::sum);
        }
    }

    static void post(CloseableHttpClient client, String url, String name) {
        HttpPost post = new HttpPost(url);
        post.setEntity(new StringEntity(body(name), TYPE));
        sent.incrementAndGet();
        try (CloseableHttpResponse answer = client.execute(post)) {
            EntityUtils.consume(answer.getEntity());
            int status = answer.getStatusLine().getStatusCode();
            if (status == 200) {
                ok.incrementAndGet();
            } else {
                count(other, Integer.toString(status));
            }
        } catch (Exception error) {
            count(failed, error.getClass().getSimpleName());
        }
    }

    static void work(CloseableHttpClient client, String url, String[] pauses, String name) {
        for (int index = 0; index < pauses.length; index++) {
            post(client, url, name + "-" + index);
            try {
                Thread.sleep(Long.parseLong(pauses[index]));
            } catch (InterruptedException error) {
                return;
            }
        }
    }

    static String json(Map<String, Integer> of) {
        return of.entrySet().stream().map(e -> "\"" + e.getKey() + "\":" + e.getValue())
            .collect(Collectors.joining(",", "{", "}"));
    }

    public static void main(String[] arguments) throws Exception {
        int threads = Integer.parseInt(arguments[1]);
        String[] pauses = arguments[2].split(",");
        Thread[] working = new Thread[threads];
        try (CloseableHttpClient client = client(threads)) {
            for (int number = 0; number < threads; number++) {
                String name = arguments[3] + "-" + number;
                working[number] = new Thread(() -> work(client, arguments[0], pauses, name));
                working[number].start();
            }
            for (Thread thread : working) {
                thread.join();
            }
        }
        System.out.println("{\"sent\":" + sent + ",\"ok\":" + ok + ",\"other\":" + json(other) + ",\"failed\":"
            + json(failed) + ",\"connections\":" + connections + "}");
    }
}
