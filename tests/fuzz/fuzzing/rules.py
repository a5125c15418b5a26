"""The grammar of the two language references as productions, expressions by the kind of their value."""

from __future__ import annotations

SCALARS = {
    "number": """
        <long>
        <number column>
        <number atom>
        <qualifier>.<number column>
        <number> + <number>
        <number> - <number>
        <number> * <number>
        <number> / <number>
        <long atom> // 2
        <number> % 3
        - <number atom>
        -<number atom>
        + <number atom>
        <number atom>::<number type>
        ~ <open number>
    """,
    "open number": """
        if <truth> then <number> else <number>
        case <cases>
    """,
    "cases": """
        <case>
        <number> <number case>
        <text> when <text> then <number>
    """,
    "case": "when <truth> then <number> <case?> <case else?>",
    "number case": "when <number> then <number> <case else?>",
    "case else": "else <number>",
    "long": """
        1
        <long column>
        25_000
        0
        (<long> + <long>)
        <text atom>.length
        length(<text>)
        <list atom>.length()
        <day atom>.extract('year')
    """,
    "long atom": """
        <long column>
        7
        (<long>)
    """,
    "number atom": """
        <long atom>
        <number column>
        2.50
        1.5e3
        3f
        4d
        .5
        (<number>)
        (<open number>)
        <number atom>.round
        <number atom>.round(1)
        <number atom>.floor()
        <number atom>.abs
        <number atom>.or_else(<number>)
        <number atom>.to_double
        <number atom>.to_long()
        <list atom>[<long>]
        <list atom>.get(1)
        <map atom>['a']
        <place column>.x
        <place column>['x']
        {p: <number>, 'q r': <text>}.p
        coalesce(<number,!>)
        greatest(<number>, <number>)
        {<number query>}
        (from trips agg metres.max)
    """,
    "number type": """
        double
        long
        decimal[10,2]
        int
        float
        bigint
        short
    """,
    "text": """
        <text literal>
        <text column>
        <qualifier>.<text column>
        <text atom>
        <text> + <text>
        <text> + <number atom>
        <number atom> + <text>
        <day atom>::string
        <number atom>::varchar
        s"<<${<number>}>"
        s"a${<text>}b $c"
        s"${<moment>}"
    """,
    "text literal": """
        'x'
        "y"
        'it''s'
        ''
        '-- none'
        'a⏎b'
        '%'
        \"""say "hi"\"""
        s"$${1}"
        s"\\$ \\""
        s\"""a "${'b'}" ${1 + 2}\"""
        '{'
        "ünï"
    """,
    "text atom": """
        <text column>
        'abc'
        (<text>)
        (if <truth> then <text> else <text>)
        (case when <truth> then <text>)
        <text atom>.upper
        <text atom>.trim()
        <text atom>.substring(1, 2)
        <number atom>.to_string
        concat(<text,>)
        sql"upper(${<text>})"
        <place column>.label
        <text atom>.or_else(<text>)
    """,
    "truth": """
        true
        false
        <truth column>
        <number> <comparison> <number>
        <text> <comparison> <text>
        <day> <order> <day>
        <value atom> is null
        <value atom> is not null
        <value atom> = null
        null != <value atom>
        <number> in (<number,!>)
        <text> not in (<text,!>)
        (<number>, <text>) in ((1, 'x'), (<number>, 'y'),)
        <number> in {<number query>}
        <number> not in (from trips<sep>select trip)
        <number> between <number> and <number>
        <text> not between <text> and 'z'
        <text> like 'a%'
        <text> not like <text> escape '!'
        exists {<query>}
        not exists {<query>}
        !exists {<query>}
        not <truth>
        !<truth>
        <truth> and <truth>
        <truth> or <truth>
        (<truth>)
        <number atom>.in(<number,!>)
        <number atom>.not_in(from trips<sep>select trip)
        <number atom>.between(<number>, <number>)
        <text atom>.like('a%')
        <text atom>.regexp_like('a.c')
        <text atom>.contains(<text>)
        <list atom>.contains(<number>)
        (<truth>).or_else(false)
        if <truth> then <truth> else <truth>
    """,
    "comparison": """
        =
        !=
        ==
        is
        is not
        <order>
    """,
    "order": "<\n<=\n>\n>=",
    "day": """
        <day column>
        '2026-01-31':date
        '2026-01-31'::date
        current_date
        current_date()
        <moment atom>.to_date
        (<day>)
    """,
    "day atom": """
        <day column>
        ('2026-01-31':date)
        (<day>)
    """,
    "moment": """
        <moment column>
        '2026-01-31 10:00:00':timestamp
        <moment atom> + <span>
        <day atom> - <span>
    """,
    "moment atom": """
        <moment column>
        (<moment>)
    """,
    "span": """
        '45 minutes'::interval
        '1 day':interval
    """,
    "list": """
        [<number,!>]
        <list column>
        (<list>)
        list_transform(<list>, v -> v + <long>)
        list_filter(<list>, (v) -> v > 1)
        list_transform(<list>, (v, i) -> v * i)
        <list atom>.exclude([1])
    """,
    "list atom": """
        <list column>
        [<number,!>]
        (<list>)
    """,
    "map atom": """
        <map column>
        map {'a': <number>, 'b': 2,}
        map {'a': 1}
    """,
    "value atom": """
        <number atom>
        <text atom>
        <day atom>
        <list atom>
        (<truth>)
    """,
    "value": """
        <number>
        <text>
        <truth>
        <open number>
        <day>
        <moment>
        <span>
        <list>
        null
        {p: <number>, 'q r': <text>,}
        {`s t`: <truth>, select: 1}
        map {<text atom>: <number>}
        map {}
        [<text,!>]
        []
        [[<number,>], [1]]
        (<number>, <text>)
        <map atom>
        s`<column name>`
        ~ this
        ~ this.m
        ~ _
        ~ _.<name>
        ~ <name>
        ~ <name>.<any word>(<arg,!>)
        ~ <name>(<arg,!>)
        ~ `odd name`(1)
        ~ json"[1]"
        ~ <value atom>.<any word>.<any word>
        ~ 'x':decimal[3,1]
        ~ (from <table> select <value>)
    """,
    "any word": "x\nin\nselect\nlike\nbetween\n`two words`\nflow\n_1\ncount",
    "arg": "<value>\n<name> = <value>\ndistinct <value>\n<any word> -> <value>\n(a, b) -> <value>\n<name>: <value>",
    # grouped
    "total": """
        _.count
        <number atom>.sum
        <number atom>.max()
        <number atom>.avg.round(1)
        <value atom>.count
        <value atom>.count_distinct
        count(*)
        count(distinct <value>)
        sum(<number>)
        _.count_if(<truth>)
        _.sum(<number>)
        _.max_by(<number>, <text>)
        _.count_distinct(<text>)
        <number atom>.min_by(<number>)
        <number atom>.approx_quantile(0.5)
        <number atom>.median
        <number atom>.stddev
        <value atom>.count_approx_distinct
        <total> + <total>
        <total> / <total>
        (<total>)
        (if <total> > 1 then <total> else 0)
        <total>::double
    """,
    "collected": """
        <text atom>.arbitrary
        <text atom>.to_array
        _.array_agg(<number>)
        <number atom>.to_array.length
        <text atom>.max_by(<number>)
        <day atom>.min
        <text atom>.any
    """,
    "windowed": """
        row_number() over (<window>)
        sum(<number>) over (<window>)
        <number atom>.sum over (<window>)
        <number atom>.max() over ()
        (<number atom>.sum over (<window>)).round(1)
        lag(<number>, 1) over (order by <sort key,>)
        rank() over (order by <sort key>)
        first_value(<text>) over (<window>)
    """,
    "window": "<partition?> <ordering?> <frame?>",
    "partition": "partition by <value atom,>",
    "ordering": "order by <sort key,>",
    "frame": "rows[-2,0]\nrows[,]\nrows[0,2]\nrows[,-1]\nrows[1,3]",
    # names
    "alias": "<fresh>\n`odd <fresh>`\n<fresh>",
    "new name": "<alias>\nselect\n`a.b`\n`Ü`\ncount",
}

RELATIONS = {
    "sep": "⏎\n |\n \n⏎| ",
    "number query": """
        from trips agg metres.max
        from trips<sep>where <sub truth><sep>agg trip.min
        from trips as inner_trips<sep>order by trip<sep>select n = trip<sep>limit 1
        from [[1], [2]] as k(n)<sep>limit 1
        select 1
    """,
    "sub truth": """
        metres > 1
        day is not null and trip = <long>
        metres < <number>
    """,
    "query": """
        from trips
        from trips<sep>where <sub truth>
        from <table><sep>limit 2
        select 1, 'x'
        with w1 as {from trips} from w1
        with w1 as {from trips} with w2(p, q) as [[1, 'a'], [2, 'b'],] from w2
        {from trips | count}
        ~ <input><ops>
        ~ {<query>}<ops>
        ~ <with> <query>
    """,
    "with": "with <fresh> as {<query>} <with?>\nwith <fresh>(<column list>) as [<inline row,!>] <with?>",
    "ops": "<step>\n<step><step>\n<step><step><step>",
    "step": "<sep><operator>\n | <operator>\n | <piped>",
    "input": """
        from <relation>
        from <relation>, <table> as <fresh>
        select p = 1, 'x' as q, [1, 2] as r
        ~ select <item,>
    """,
    "relation": """
        <table>
        <table> as <fresh>
        [[1, 'a'], [2, 'b'],] as <fresh>(p, q)
        [[<number>, <text>],] as <fresh>(p: long, q: string,)
        sql"select 1 as p, ${<text literal>} as q"
        unnest([1, 2]) as <fresh>(p)
        `range`(3) as <fresh>(p)
        {from <table>} as <fresh>
        {from <table><sep>limit 5} as <fresh>
        wv_tables()
        s`tr${'ips'}`
        mo
        mo2(1) as <fresh>
        mo2(most = <long>) as <fresh>
        constant as <fresh>
        ~ {<query>}
        ~ _
        ~ 'data/*.csv' as <fresh>(a, b: int)
        ~ from <table>
        ~ <name>.<any word>
    """,
    "inline row": "[<number>, <text literal>]",
    "column list": "p, q\np: long, q: string,\nselect, q",
    "item": """
        <column>
        <qualifier>.<column>
        <new item>
        <value>
        <number> as <new name>
    """,
    "new item": """
        <alias> = <value>
        <value> as <new name>
        <alias> = <windowed>
        <windowed> as <alias>
    """,
    "star": "*\n*, <new item>\n<qualifier>.*\n<new item>, *",
    "sort key": """
        <value atom>
        <number> desc
        <text> asc nulls first
        <value atom> desc nulls last
    """,
    "total item": """
        <alias> = <total>
        <total> as <alias>
        <total>
        <collected> as <alias>
        <collected>
    """,
    "key": "<column>\n<column> as <alias>\n<alias> = <value atom>\n<text>\n<number atom>",
    "operator": """
        where <truth>
        <shaped>
        <grouped>
        <joined>
        <set>
        <cut>
        <observed>
    """,
    "shaped": """
        select <item,>
        select distinct <item,>
        select <star>
        add <new item,>
        prepend <new item>
        exclude <column>
        rename <column> as <new name>
        shift <column>
        shift to right <column>
        shift to left <column>
        unpivot <fresh> for <fresh> in (<number column>)
        unpivot for <fresh> in (<text column>,)
        unpivot <alias> for <alias> in (<number column>)
        describe
    """,
    "grouped": """
        group by <key><sep>agg <total item,>
        group by <key,><sep>agg <total item>
        group by <key><sep>where <total> > <number><sep>agg <total item>
        group by <key><sep>select _1, <total item>
        group by <key><sep>select distinct <total item>, _1 as <alias>
        group by <key>, <key><sep>select _2, <total item>, _1
        group by <key><sep>count
        group by <key>
        group by <qualifier>.<column><sep>select <qualifier>.<column>, <total item>
        group by <key><sep>select <star>
        group by <key><sep>where _.count > 1
        group by <fresh> = <value atom><sep>agg <total item>
        agg <total item,>
        agg <total item>, <total item>
        count
        pivot on <text column> in ('a', 'b')<sep>group by <column><sep>agg <number column>.sum
        pivot on <text column> in ('a', 'b')
        pivot on <text column><sep>agg <total>
        pivot on <text column>, <number column> in (1, 2)<sep>group by <column>
    """,
    "joined": """
        join trips as <fresh> on <truth>
        left join trips on id
        join <relation> on <truth>
        inner join trips as <fresh> on id
        right join trips as <fresh> on true
        full join trips on id
        cross join [[1, 'a']] as <fresh>(p, q)
        cross join unnest([1, <long>]) as <fresh>(p)
        cross join unnest(<list column>) as <fresh>(p)
        left join {from trips<sep>where metres > 1} as <fresh> on id
        asof join trips on <moment column> >= started
        asof left join trips as at on <long column> = at.id and <moment column> >= at.started
        join { from trips as jt } on jt.metres > <number>
        ~ join <relation> on <name>, <name>
        ~ left join <relation>
    """,
    "set": """
        concat {<self>}
        intersect {<self>}
        intersect all {<self>}
        except {<self>}
        except all {<self>}
        dedup
        ~ concat <query>
        ~ intersect from <table>
        ~ except all from <relation>
    """,
    "cut": """
        order by <sort key,>
        order by 1
        limit 3
        limit 0
        offset 2
        limit 2<sep>offset 1
        sample 10
        sample 10%
        sample 0.5%
        sample system(5%)
        sample bernoulli(2.5%)
        sample reservoir(5)
    """,
    "observed": """
        test _.size should be 4
        test _.columns should contain 'id'
        test _.rows should not be [[1, null]]
        test _.size > 1
        test _.json should not contain 'x'
        test _.output is not null
        test <number> = 1
        debug {where <truth>}
        debug {<shaped><sep>count}
        debug {| count | save to debugged}
        ~ select as <fresh>
    """,
    "piped": """
        positives
        first_ones(2)
        first_ones(most = 1)
        positives()
        ~ nothing(1)
    """,
    "update": """
        save to kept
        save to main.kept with mode: 'merge', key: 'id'
        save to 'kept.parquet'
        append to 'kept.csv'
        append to kept
        append to kept(<column>, `x y`,)
        delete
    """,
    "relational": "<input>\n<input><ops>\n<with> <input><ops>\n{<query>}\n{<query>}<ops>",
}

FLOWS = {
    "word": "a\nb\nclean\nselect\n`two words`\nfrom1\nmerge\nstate\norder",
    "flow": """
        flow <word> = {<flow item*>}
        flow <word> = {<flow item> <flow item> <flow item>}
        flow <word> <flow header> = {<flow item*>}
    """,
    "flow header": """
        @version(1) <parameters?> <config?> <after?>
        <parameters> <after?> <config>
        <config> <parameters> @version(2)
        <after> <block?> <inline?>
    """,
    "parameters": "(<param,!>)",
    "after": "depends on <word,>\nif <trigger>",
    "block": "with {<setting*>}\nwith {⏎<setting>;⏎<setting>⏎<setting>}",
    "inline": "[<setting>]\n[<setting>, <setting>,]",
    "config": "<block>\n<inline>\n<inline> <block>",
    "param": "<word>\n<word>: <type>\n<word>: <type> = <constant>\n<word> = <constant>\n<word>: duration = 5m",
    "type": "string\nlong\ndecimal[10,2]\narray[long]\nmap[string,array[double]]\ndate\nvarchar[3]",
    "constant": "1\n'x'\nnull\ntrue\n-1\n'2026-01-01':date\n[1, 2]\n{p: 1}\n(if true then 1 else 2)",
    "flow item": """
        stage <word> <stage header?> = <body>
        stage <word> <stage header?> = <body>
        state <word>: <type> = <constant>
        state <word> = <constant>
        signal <word>
        signal <word>(<param,!>) = set_n(<constant>), set_paused(true)
        query <word> = current_status()
        query <word>(<param>) = from stages where a > 1
        update <word>(<param>) = set_n(<constant>) where n < 3
    """,
    "stage header": "<config>\n<after> <inline?> on <fresh>\non <fresh> <block> if <trigger>",
    "trigger": """
        <word>.failed
        <trigger> and <trigger>
        <trigger> or <word>.done
        not <trigger>
        (<trigger>)
        not.success
    """,
    "setting": """
        retries: 3
        timeout: 1h30m
        backoff: linear
        select: from
        tags: [a, b, 'c']
        defaults: {retries: 2, on_failure: skip}
        when: <truth>
        schedule: cron('0 2 * * *')
        schedule: [{cron: '0 2 * * *', args: {a: 1}}, '0 3 * * *',]
        idempotency_key: _.id
        compensate: undo(wait: 5m)
        x_any: <number>
    """,
    "body": """
        from <sources>
        from <sources><flow ops>
        from <relation>
        <query><flow ops>
        merge <word>, <word>
        merge <word>, <word> on id
        merge <word>, <word> on a.id = b.id<flow ops>
        call <word>
        call <word>(<call argument,!>)<flow ops>
        wait('7 days')
        wait(5m) | count
        wait until n > 1
        wait for <word>
        <input><ops>
        <input><ops><ending>
        <with> <query>
    """,
    "source": "a\nb\nclean\n`two words`\nmerge\norder\nlimit",
    "sources": "_\n_ as <fresh>\n<source>\n<source>, <source>\n<source>.<word>",
    "flow ops": "<flow step>\n<flow step><flow step>\n<ending>\n<flow step><ending>",
    "flow step": """
        <step>
        | geocode(<call argument,!>)
        | call <word>(<call argument,!>)
        | call <word> @version(2)
        | -> <word>(<call argument>)
        | -> <word>@version(1)(<call argument>)
        | wait(1h30m)
        | wait until n > 1
        | wait until {from a | where b}
        | wait for <word>
        | while late(by: 5m)
        | while _.a > 1 | count
        | activate('file', path: 'x')
        | save to kept
        <sep>save to 'kept.csv' with header: true
        | append to kept
        | debug {count}
    """,
    "call argument": "<constant>\n<word>: <constant>\nwait: 5m\n<word> = <constant>\n_.id",
    "ending": """
        | -> <word>
        | end()
        | route {case <truth> -> <word> else -> <word>}
        | route {case <truth> -> <word> case (case when <truth> then true) -> <word>}
        | route by hash(a) {case 50% -> <word> case 25 -> <word> else -> <word>}
        | route by hash(<value>) {case 12.5% -> <word>}
        | fork {stage <word> = where <truth> stage <word> <stage header?> = <body>}
        | fork {<forked> stage <word> = from _}
    """,
    "forked": "stage <word> = | count\nstage <word> = where <truth> | fork {stage <word> = count}",
}

PROGRAMS = {
    "focus": """
        from riders<sep><shaped>
        from riders<sep><grouped>
        from riders<sep><joined>
        from riders<sep><set>
        from riders<sep><cut>
        from riders<sep><observed>
        from riders<sep><update>
        from <relation>
        select <value>, <number>
        select <value>
        from riders where <truth>
        <definition>
        <definition>
        <command>
        <relational>
        flow <word> = {stage <word> <stage header?> = <body>}
    """,
    "program": """
        <statement>
        <statement>
        <statement>⏎;<statement>
        <prelude>;⏎<statement>
        <flow>⏎<flow>
        <definition>⏎<definition>
    """,
    "prelude": "package a.b\nimport a.b\nimport a.b.* from 'x'\nimport a.b as c\nimport a from 'https://x'",
    "statement": """
        <relational>
        <relational><sep><update>
        <flow>
        <definition>
        <command>
        <relational>
        <flow>
    """,
    "definition": """
        val <fresh> = <constant>
        val <fresh>: <type> = <value>
        val <fresh>(<column list>) = [[1, 'a'], [2, 'b'],]
        model <fresh> = {<relational>}
        model <fresh>(<model param,!>): trip = {<relational>}
        def <fresh>(p: <type>, r: any*): <type> = <value>
        def <fresh> = native
        def <fresh>(p: any) in duckdb, trino = <value>
        def <fresh>(p = 1) = <partial>
        def <fresh> = <partial><ops>
        def <operator name>(p: any) = p
        type <fresh> = {<member> <member> <member>}
        type <fresh>[T of any, U] in duckdb extends string = {def <any word>: <type> = <value>}
        type <fresh> in memory.main extends a
        type null
        activity <word>
        activity <word>(<param,!>): <type> [retries: 3] with {timeout: 5m} = http(method: 'POST', timeout: 30s)
        activity <word> with {<setting*>} = shell('x')
    """,
    "partial": """
        where <truth>
        select <item,>
        add <new item,>
        agg <total>
        group by <key>
        shift <column>
        test _.size > 1
        limit 3
        order by <sort key,>
    """,
    "operator name": "+\n-\n*\n/\n%\n&\n=\n!=\n<\n<=\n>\n>=\nselect",
    "model param": "p: <type>\nq: <type> = <constant>",
    "member": "<any word>: <type>\n<fresh>: <type> = <constant>\ndef <any word>: <type> = <value>\ndef: string",
    "command": """
        show tables
        show tables in main<ops>
        show columns in memory.main.trips
        show models
        show functions
        show query mo
        describe <relation>
        describe <relation><ops>
        explain <relational>
        explain sql"select 1"
        execute sql"select ${<constant>}"
        use main
        use schema main
        use memory.main
        use connector duckdb
        run flow <word>
        run flow <word>(<call argument,!>)
        run flow <word> @version(2) | count
        call <word>(<call argument,!>)
        call <word>
        from a | -> <word>(a: 1)
        from a | -> <word>
    """,
}

GRAMMAR = {**SCALARS, **RELATIONS, **FLOWS, **PROGRAMS}
