// The parts of an Android or JVM module's build.gradle.kts that Fairway needs. The paths begin at clients/apollo-kotlin.
plugins {
  id("com.apollographql.apollo") version "5.1.0"
}

dependencies {
  implementation("com.apollographql.apollo:apollo-runtime:5.1.0")
  // The normalized cache is a project of its own: take the newest version for Apollo Kotlin 5 from its releases page,
  // github.com/apollographql/apollo-kotlin-normalized-cache. Leave its three lines out if you keep messages yourself.
  implementation("com.apollographql.cache:normalized-cache:$cacheVersion")
}

apollo {
  service("fairway") {
    packageName.set("com.example.fairway")
    srcDir("../operations")
    schemaFiles.from("../../schema.graphql", "extra.graphqls")
    // A DateTime is a text like 2026-01-31T09:30:00.000Z; java.time.Instant.parse reads it.
    mapScalarToKotlinString("DateTime")

    // Written to build/generated/manifest/apollo/fairway, for TRUSTED_DOCUMENTS of the server.
    operationManifestFormat.set("persistedQueryManifest")

    plugin("com.apollographql.cache:normalized-cache-apollo-compiler-plugin:$cacheVersion")
    pluginArgument("com.apollographql.cache.packageName", packageName.get())

    // ./gradlew downloadFairwayApolloSchemaFromIntrospection, where the server has INTROSPECTION on
    introspection {
      endpointUrl.set("http://127.0.0.1:4000/graphql")
      schemaFile.set(file("../../schema.graphql"))
    }
  }
}
