
# 1002 asks cloudbase-init for the same at the next boot, 1003 for a restart before that.
$again = 1002
$restart = 1003
$folder = Join-Path $env:ProgramData 'stead'

# What runs as the user `coder` for as long as the machine does: on a home that he can write to, the agent.
$agent = @'
$told = Get-Content -Raw -Encoding UTF8 (Join-Path $PSScriptRoot 'agent.json') | ConvertFrom-Json
$told.environment.PSObject.Properties | ForEach-Object {
    [Environment]::SetEnvironmentVariable($_.Name, $_.Value)
}
$boot = (Get-CimInstance Win32_OperatingSystem).LastBootUpTime.ToFileTimeUtc().ToString()

# In the background, for half an hour: an engine that is away keeps no agent from starting. One is under way
# at most, or they would pile up: what it says already is not said again, and the latest word replaces it.
# Who cannot reach us tells us nothing.
function Send-Report($stage, $detail) {
    if (-not $told.reportUrl) { return }
    Get-Job | Where-Object State -in 'Completed', 'Failed', 'Stopped' | Remove-Job
    if (Get-Job | Where-Object Name -eq $stage) { return }
    Get-Job | Remove-Job -Force
    $body = @{ stage = $stage; boot_id = $boot; detail = $detail } | ConvertTo-Json -Compress
    Start-Job -Name $stage -ArgumentList $told.reportUrl, $body {
        param($url, $body)
        foreach ($try in 1..900) {
            try {
                Invoke-RestMethod -Method Post -Uri $url -Body $body -ContentType 'application/json' -TimeoutSec 10
                break
            } catch {
                Start-Sleep -Seconds 2
            }
        }
    } | Out-Null
}

# A drive letter is its session's own, so it is mounted here. `hard`, because a soft mount loses writes.
# Whatever else has the letter, however well it can be written to, is no home.
function Test-Home {
    $server, $path = $told.homeSource -split ':', 2
    $source = '\\' + $server + $path.Replace('/', '\')
    if (-not (Test-Path 'H:\')) {
        & mount.exe -o 'anon,nolock,mtype=hard' $source 'H:' | Out-Null
    }
    $drive = Get-CimInstance Win32_LogicalDisk -Filter "DeviceID='H:'"
    if ("$($drive.ProviderName)".TrimEnd('\') -ne $source.TrimEnd('\')) {
        throw "H: is $($drive.Description) $($drive.ProviderName), not $source"
    }
    $probe = 'H:\.stead-' + [guid]::NewGuid()
    New-Item -ItemType File -Path $probe -ErrorAction Stop | Out-Null
    Remove-Item -Path $probe
}

while ($true) {
    try {
        Test-Home
        Send-Report 'home-verified' 'mounted and writable'
        Set-Location 'H:\'
        & coder agent
    } catch {
        Send-Report 'home-failed' $_.Exception.Message
    }
    Start-Sleep -Seconds 2
}
'@

function Set-Name {
    $named = Join-Path $folder 'named'
    if ($env:COMPUTERNAME -eq $computerName -or (Test-Path $named)) { return }
    # Once: a machine that keeps its name is not restarted for ever.
    Set-Content -Path $named -Value $computerName
    Rename-Computer -NewName $computerName -Force
    exit $restart
}

# His password nobody knows. Who wants to log in by RDP gives him one, in a terminal: net user coder *
function Add-Coder {
    if (Get-LocalUser -Name coder -ErrorAction SilentlyContinue) { return }
    $bytes = New-Object byte[] 24
    [Security.Cryptography.RandomNumberGenerator]::Create().GetBytes($bytes)
    $password = ConvertTo-SecureString ('aA1!' + [Convert]::ToBase64String($bytes)) -AsPlainText -Force
    New-LocalUser -Name coder -Password $password -PasswordNeverExpires | Out-Null
    # Administrators and Remote Desktop Users, whatever they are called here.
    foreach ($group in 'S-1-5-32-544', 'S-1-5-32-555') { Add-LocalGroupMember -SID $group -Member coder }
}

# To the NFS server, whoever mounts anonymously is 1000, as on Linux.
function Set-NfsUser {
    $key = 'HKLM:\SOFTWARE\Microsoft\ClientForNFS\CurrentVersion\Default'
    if ((Get-ItemProperty $key).AnonymousUid -eq 1000) { return }
    foreach ($name in 'AnonymousUid', 'AnonymousGid') {
        Set-ItemProperty -Path $key -Name $name -Value 1000 -Type DWord
    }
    Restart-Service -Name NfsClnt -Force
}

function Start-Agent {
    $arguments = '-NoProfile -NonInteractive -ExecutionPolicy Bypass -File "{0}"' -f (Join-Path $folder 'agent.ps1')
    $task = @{
        TaskName  = 'coder-agent'
        Action    = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument $arguments
        Principal = New-ScheduledTaskPrincipal -UserId coder -LogonType S4U -RunLevel Highest
        Settings  = New-ScheduledTaskSettingsSet -ExecutionTimeLimit ([TimeSpan]::Zero) -RestartCount 255 `
            -RestartInterval (New-TimeSpan -Minutes 1) -AllowStartIfOnBatteries -DontStopIfGoingOnBatteries
    }
    Register-ScheduledTask @task -Force | Out-Null
    Start-ScheduledTask -TaskName coder-agent
}

try {
    $ErrorActionPreference = 'Stop'
    New-Item -ItemType Directory -Path $folder -Force | Out-Null
    # SYSTEM and Administrators alone: what is written here next is the token.
    & icacls.exe $folder /inheritance:r /grant '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' | Out-Null
    Set-Name
    Add-Coder
    Set-NfsUser
    $told = @{ reportUrl = $reportUrl; homeSource = $homeSource; environment = $environment }
    $told | ConvertTo-Json | Set-Content -Path (Join-Path $folder 'agent.json') -Encoding UTF8
    Set-Content -Path (Join-Path $folder 'agent.ps1') -Value $agent
    Start-Agent
} catch {
    # Not the message: it may repeat what it was given.
    [Console]::Error.WriteLine('stead: ' + $_.InvocationInfo.ScriptLineNumber + ': ' + $_.FullyQualifiedErrorId)
}
exit $again
